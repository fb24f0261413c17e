"""`--directory` for every command, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.arguments.declared import parameter_of
from cli.connection.address import choose_directory

OPTION = "--directory"


def add_directory_option(command: Any) -> None:
    """Let `command`, and all below it, be told by `--directory` which stack is meant."""
    _add(command, parameter_of(_declared, OPTION))


def _add(command: Any, parameter: Any) -> None:
    if all(OPTION not in known.opts for known in command.params):
        command.params.append(parameter)
    for below in getattr(command, "commands", {}).values():
        _add(below, parameter)


def _choose(directory: Path | None) -> None:
    if directory is not None:
        choose_directory(directory.resolve())


def _declared(
    directory: Annotated[
        Path | None,
        typer.Option(
            OPTION,
            callback=_choose,
            expose_value=False,
            help="That of `predictq up --directory`; default: .predictq here or above.",
        ),
    ] = None,
) -> None:
    """The option as Typer reads it."""
