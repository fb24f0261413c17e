"""Whether a fitted step still does what its class says."""

from __future__ import annotations

from typing import Any


def hides_methods(step: Any) -> bool:
    """Whether something was put over a method of this very object."""
    return any(callable(getattr(type(step), name, None)) for name in vars(step))
