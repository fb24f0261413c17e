"""The path under which a proxy shows the gateway: in front of every path that an answer tells."""

from __future__ import annotations

from contextvars import ContextVar

_root: ContextVar[str] = ContextVar("root_path", default="")


def set_root(root: str) -> None:
    """For the call that is being answered."""
    _root.set(root)


def rooted(path: str) -> str:
    """`path` of the gateway as callers see it."""
    return _root.get() + path
