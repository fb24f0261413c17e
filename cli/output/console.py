"""What commands write: results on standard output, remarks on standard error, JSON where asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Both look up sys.stdout and sys.stderr at each use. Numbers in colour would make a terminal's output restless.
output = Console(highlight=False)
remarks = Console(stderr=True, highlight=False)
# For tables: a job id that is cut to fit the window cannot be copied.
_wide = Console(highlight=False, width=10_000)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def say(text: str) -> None:
    """A line on standard output, never wrapped: what is printed can be copied or piped. Markup is allowed."""
    output.print(text, soft_wrap=True)


def remark(text: str) -> None:
    """A line on standard error, so that piped output stays clean. Markup is allowed."""
    remarks.print(text, soft_wrap=True)


def say_json(document: object) -> None:
    """One JSON document on a line of its own; times in RFC 3339, ids as text."""
    sys.stdout.write(json.dumps(document, default=_plain) + "\n")


def say_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: frozenset[str] = frozenset()) -> None:
    """A table without lines; columns named in `right` are aligned to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*("" if cell is None else escape(_visible(str(cell), "")) for cell in row))
    _wide.print(table)


def minute_text(moment: str | None) -> str:
    """A moment of the interface to the minute, as tables show it under a heading that says UTC; empty without one."""
    return moment[:16].replace("T", " ") if moment else ""


def plain_text(text: object) -> str:
    """`text` with nothing in it that the console would take for markup, or a terminal for a command."""
    return escape(_visible(str(text), "\n\t"))


def _visible(text: str, kept: str) -> str:
    """`text` with control and direction characters, but for those `kept`, written out: a name may hold them."""
    return "".join(letter if letter.isprintable() or letter in kept else repr(letter)[1:-1] for letter in text)


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
