"""Options that are added to commands after these are made, so that they are declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer


def parameter_of(declaration: Callable[..., None], option: str) -> Any:
    """The parameter called `option` of a function as Typer reads it, to be put among those of a command."""
    app = typer.Typer(add_completion=False)
    app.command()(declaration)
    return next(known for known in typer.main.get_command(app).params if option in known.opts)
