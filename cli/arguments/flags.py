"""Options that are given or not: `--help` shows them without the `<bool>` that would ask for a value."""

from __future__ import annotations

from typing import Any

import typer


def show_flags_as_flags(command: Any) -> None:
    """For `command`, and all below it."""
    own_help = command.get_help_option(typer.Context(command))
    for parameter in (*command.params, *([own_help] if own_help else [])):
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for below in getattr(command, "commands", {}).values():
        show_flags_as_flags(below)
