"""`predictq keys`: make, list, replace and revoke API keys. The first in the database itself, all others by HTTP."""

# ruff: noqa: PLC0415 - SQLAlchemy and the settings take 0.3 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import getpass
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.arguments.moments import moment_ahead, seconds_of
from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.errors import UsageProblem
from cli.output.console import AsJson, minute_text, plain_text, remark, say, say_json, say_table
from shared.access.roles import ALL_ROLES, LONGEST_OWNER

app = typer.Typer(no_args_is_help=True, help="Make, list, replace and revoke API keys.")

Prefix = Annotated[str, typer.Argument(help="The first characters, as `predictq keys list` shows them.")]


@app.command()
def create(
    owner: Annotated[str, typer.Argument(help="Whose jobs these will be.")],
    role: Annotated[
        list[str] | None,
        typer.Option(help=f"What it may do, once for each: {', '.join(ALL_ROLES)}. Default: the first three."),
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything.")] = False,
    model: Annotated[list[str] | None, typer.Option(help="Only for this model; once for each.")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, or 2027-01-31.")] = None,
    note: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    max_waiting_rows: Annotated[
        int | None, typer.Option(min=1, help="The most rows that may wait for this owner.")
    ] = None,
    first: Annotated[
        bool, typer.Option("--first", help="The first key, of an admin: straight in the database, without a gateway.")
    ] = False,
    lost: Annotated[bool, typer.Option("--lost", help="With --first: although there is an admin's key.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Make a key and print it, for the only time."""
    if not owner.strip() or not owner.isprintable() or len(owner) > LONGEST_OWNER:
        raise UsageProblem(f"OWNER must be a name of 1 to {LONGEST_OWNER} visible characters")
    if owner != owner.strip():
        raise UsageProblem(f"OWNER has blanks at its ends, and would be another one than {owner.strip()!r}")
    if first:
        if role or model or expires or max_waiting_rows:
            raise UsageProblem("--first makes an admin's key for all models, without an end: leave the rest out")
        _say_made(_create_first(owner, note, is_lost=lost), as_json=as_json)
        return
    wanted: dict[str, Any] = {
        "owner": owner,
        "roles": list(ALL_ROLES) if admin else role or None,
        "models": model or None,
        "expires_at": moment_ahead("--expires", expires) if expires else None,
        "note": note,
        "max_waiting_rows": max_waiting_rows,
    }
    with api_client(api_url, api_key, quiet=as_json) as http:
        made = http.call("POST", "/v1/keys", {name: value for name, value in wanted.items() if value is not None})
    _say_made(made, as_json=as_json)


def _say_made(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(made)
        return
    say(plain_text(made["key"]))
    remark(f"Keep it: only its hash is stored. Revoke it with: predictq keys revoke {made['prefix']}")
    _warn_of_models(made)


def _warn_of_models(made: dict[str, Any]) -> None:
    """Say it where the key is for models that there are not: a misspelt name would let it do nothing."""
    if unknown := made.get("unknown_models"):
        names = ", ".join(map(plain_text, unknown))
        remark(f"No model is called {names} yet. Compare with: predictq models list")


def _create_first(owner: str, note: str | None, *, is_lost: bool) -> dict[str, Any]:
    """An admin's key, made in the database. Raises UsageProblem where there is one already, unless it is lost."""
    from cli.connection.database import database
    from shared.access.api_keys import create_key, has_admin_key
    from shared.audit.writing import record_act
    from shared.postgres.engine import transaction

    with database() as engine, transaction(engine) as connection:
        if has_admin_key(connection) and not is_lost:
            raise UsageProblem(
                f"there is an admin's key already; with it: predictq keys create {owner} --admin. "
                "If it is lost, add --lost"
            )
        key, stored = create_key(connection, owner, is_admin=True, note=note)
        after = {"owner": stored.owner, "roles": list(stored.roles)}
        record_act(connection, "command line", getpass.getuser(), "key.create", f"key {stored.prefix}", after=after)
    return {"key": key, "owner": owner, "prefix": stored.prefix, "roles": list(stored.roles)}


@app.command("list")
def list_(as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Show all keys, newest first, by their first characters."""
    with api_client(api_url, api_key, quiet=as_json) as http:
        keys = [key for part in http.parts("/v1/keys") for key in part["keys"]]
    if as_json:
        say_json(keys)
        return
    rows = [
        (key["prefix"], key["owner"], _roles(key["roles"]), ", ".join(key["models"] or ["all"]),
         minute_text(key["created_at"]), minute_text(key["last_used_at"]), _end(key), key["note"] or "")
        for key in keys
    ]  # fmt: skip
    say_table(("prefix", "owner", "roles", "models", "created", "last used", "ends", "note"), rows)


@app.command()
def rotate(
    prefix: Prefix,
    overlap: Annotated[
        str | None, typer.Option(help="How long the old one goes on beside the new one: 1h, 7d. Default: a day.")
    ] = None,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Make a key in the place of another, and print it. Both are good for a while."""
    wanted = {} if overlap is None else {"overlap_seconds": seconds_of("--overlap", overlap)}
    with api_client(api_url, api_key, quiet=as_json) as http:
        made = http.call("POST", f"/v1/keys/{quote(prefix, safe='')}/rotate", wanted)
    if as_json:
        say_json(made)
        return
    say(plain_text(made["key"]))
    until = minute_text(made["old_expires_at"])
    remark(f"Keep it: only its hash is stored. {made['old_prefix']} goes on until {until} (UTC).")
    _warn_of_models(made)


@app.command()
def revoke(prefix: Prefix, as_json: AsJson = False, api_url: ApiUrl = None, api_key: ApiKeyText = None) -> None:
    """Refuse a key from now on (gateways notice within seconds)."""
    with api_client(api_url, api_key, quiet=as_json) as http:
        key = http.call("POST", f"/v1/keys/{quote(prefix, safe='')}/revoke")
    if as_json:
        say_json(key)
    else:
        say(f"revoked {key['prefix']} of {plain_text(key['owner'])}")


def _roles(roles: list[str]) -> str:
    return "admin" if "admin" in roles else ", ".join(roles)


def _end(key: dict[str, Any]) -> str:
    return f"revoked {minute_text(key['revoked_at'])}" if key["revoked_at"] else minute_text(key["expires_at"])
