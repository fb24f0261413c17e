"""The name that was probably meant, among those that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """One that differs in case, accents or a few letters; None where none is near."""
    match = get_close_matches(name, list(known), n=1)
    return match[0] if match else None
