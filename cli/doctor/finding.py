"""What one examination of `predictq doctor` found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What one examination found; `advice` says what to do where it is not ok."""

    name: str
    ok: bool
    detail: str
    advice: str | None = None
