"""`predictq keys`: make, list and revoke API keys, straight in the database."""

# ruff: noqa: PLC0415 - SQLAlchemy and the settings take 0.3 s to import, which `predictq --help` must not wait for

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import AsJson, plain_text, remark, say, say_json, say_table
from cli.errors import UsageProblem

LONGEST_OWNER = 100

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="Whose jobs these will be.")],
    admin: Annotated[bool, typer.Option("--admin", help="May promote models over HTTP.")] = False,
    max_waiting_rows: Annotated[
        int | None, typer.Option(min=1, help="The most rows that may wait for this owner.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, for the only time."""
    if not owner.strip() or not owner.isprintable() or len(owner) > LONGEST_OWNER:
        raise UsageProblem(f"OWNER must be a name of 1 to {LONGEST_OWNER} visible characters")
    from cli.database import database
    from shared.api_keys import create_key
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        key, stored = create_key(connection, owner, is_admin=admin, max_waiting_rows=max_waiting_rows)
    if as_json:
        say_json({"key": key, "owner": owner, "prefix": stored.prefix, "is_admin": admin})
        return
    say(plain_text(key))
    remark(f"Keep it: only its hash is stored. Revoke it with: predictq keys revoke {stored.prefix}")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show all keys, newest first, by their first characters."""
    from dataclasses import asdict

    from cli.database import database
    from shared.api_keys import list_keys
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        keys = list_keys(connection)
    if as_json:
        say_json([asdict(key) for key in keys])
        return
    rows = [
        (key.prefix, key.owner, "yes" if key.is_admin else "", f"{key.created_at:%Y-%m-%d %H:%M}",
         f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "")
        for key in keys
    ]  # fmt: skip
    say_table(("prefix", "owner", "admin", "created", "revoked"), rows)


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The first characters, as `predictq keys list` shows them.")],
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on (gateways notice within seconds)."""
    from cli.database import database
    from shared.api_keys import revoke_key
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        key = revoke_key(connection, prefix)
    if as_json:
        say_json({"prefix": key.prefix, "owner": key.owner, "revoked_at": key.revoked_at})
    else:
        say(f"revoked {key.prefix} of {plain_text(key.owner)}")
