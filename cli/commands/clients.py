"""`predictq clients`: import a file of clients."""

# ruff: noqa: PLC0415 - SQLAlchemy and the settings take 0.3 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.console import AsJson, plain_text, remark, say, say_json

app = typer.Typer(no_args_is_help=True, help="Import clients, erase or export one.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file with a header.")],
    ignore_extra: Annotated[bool, typer.Option("--ignore-extra", help="Leave unknown columns out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Insert new clients and update changed ones. All rows, or none."""
    from cli.client_csv import RowsRefused
    from cli.client_load import import_file
    from cli.database import database

    start = time.monotonic()
    try:
        with database() as engine:
            report = import_file(engine, file, ignore_extra=ignore_extra, quiet=as_json)
    except RowsRefused as error:
        if as_json:
            say_json({"wrong_rows": error.count, "problems": [asdict(problem) for problem in error.problems]})
        for problem in error.problems if not as_json else ():
            remark(plain_text(problem))
        raise
    if as_json:
        say_json(asdict(report))
        return
    rate = report.total / (time.monotonic() - start)
    counts = f"{report.inserted:,} inserted, {report.updated:,} updated, {report.unchanged:,} unchanged"
    say(f"{report.total:,} clients: {counts} ({rate:,.0f} clients/s)")
