"""Pieces of the product replaced in this process, and put back."""

from __future__ import annotations

_before: list[tuple[object, str, object]] = []  # what `replace` has replaced


def replace(owner: object, name: str, value: object) -> None:
    """Put `value` in the place of what `owner` calls `name`. Raises LookupError where it has nothing of that name."""
    if not hasattr(owner, name):
        raise LookupError(f"the product has changed: {owner} has no {name}")
    _before.append((owner, name, getattr(owner, name)))
    setattr(owner, name, value)


def put_back() -> None:
    """Undo all that was replaced in this process."""
    while _before:
        setattr(*_before.pop())
