"""A client's key on the command line: one value, or COLUMN=VALUE for each part of a composite one."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cli.errors import UsageProblem

KeyParts = Annotated[
    list[str],
    typer.Argument(
        metavar="KEY",
        show_default=False,
        help="The client's key; of several columns COLUMN=VALUE COLUMN=VALUE. - reads it from standard input, so that "
        "neither the shell's history nor the list of processes has it.",
    ),
]
Composite = Annotated[
    bool, typer.Option("--composite", help="The key has several parts; more than one say so themselves.")
]
Source = Annotated[
    str | None, typer.Option(help="The source that the client is of; may be left out if it is the only one.")
]
NoSource = Annotated[
    bool, typer.Option("--no-source", help="She is a client of models without a source, as calls named her.")
]


def client_order(parts: list[str], source: str | None, *, composite: bool, no_source: bool = False) -> dict[str, Any]:
    """The client as the gateway is asked for her. Raises UsageProblem, which does not repeat the key."""
    if no_source and source is not None:
        raise UsageProblem("give --source or --no-source, not both")
    named: dict[str, Any] = {"source": source} if source is not None else {}
    named |= {"no_source": True} if no_source else {}
    return {**named, "client_id": read_key(parts, composite=composite)}


def read_key(parts: list[str], *, composite: bool) -> str | dict[str, str]:
    """The key as the gateway takes it: one part is a text, several are an object, and so is one with `composite`.

    Raises UsageProblem, which does not repeat the key.
    """
    if parts == ["-"]:
        try:
            parts = [line for line in sys.stdin.buffer.read().decode().splitlines() if line]
        except UnicodeDecodeError:
            raise UsageProblem("the key on standard input is not UTF-8") from None
    if len(parts) == 1 and not composite:
        return parts[0]
    pairs = [part.partition("=") for part in parts]
    if not pairs or any(not name or not sign for name, sign, _ in pairs):
        raise UsageProblem("name one client: by one value, or by COLUMN=VALUE for each column of a key of several")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise UsageProblem("name one client: a column of her key comes twice")
    return {name: value for name, _, value in pairs}
