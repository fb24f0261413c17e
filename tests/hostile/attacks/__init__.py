"""The attacks, by kind. Whoever adds a module names it in `MODULES`."""

from __future__ import annotations

from importlib import import_module

MODULES = ("access", "bodies", "crowds", "reading", "uploads", "wire")


def load() -> None:
    """Import all modules of attacks, so that each is registered."""
    for name in MODULES:
        import_module(f"{__name__}.{name}")
