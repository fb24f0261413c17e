"""A broken promise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """A broken promise: which one, and what shows it."""

    promise: str
    detail: str
