"""`predictq --version`."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from cli.arguments.declared import parameter_of
from cli.output.console import say

OPTION = "--version"


def add_version_option(command: Any) -> None:
    """Let `command` say which version it is, and do nothing else then."""
    command.params.append(parameter_of(_declared, OPTION))


def _say_version(is_asked: bool) -> None:
    if not is_asked:
        return
    try:
        version = metadata.version("predictq")
    except metadata.PackageNotFoundError:
        version = "that is not installed"
    say(f"predictq {version}, Python {platform.python_version()}")
    raise typer.Exit


def _declared(
    version: Annotated[
        bool,
        typer.Option(
            OPTION, callback=_say_version, is_eager=True, expose_value=False, help="Say which version this is."
        ),
    ] = False,
) -> None:
    """The option as Typer reads it."""
