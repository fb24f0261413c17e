"""Make the database roles of the services, and give each what the table in sql/rights.sql says."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import encrypt_password, quote_ident
from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import driver_connection
from sql.refusals import MigrationRefused, explaining

_RIGHTS = Path(__file__).parent / "rights.sql"
_OPEN_TABLES = Path(__file__).parent / "open_tables.sql"


@dataclass(frozen=True, slots=True)
class MadeRole:
    """A database role of a service, as it is now."""

    duty: DatabaseRole
    name: str
    is_new: bool
    url: str | None  # its address, where its password was chosen here: it is shown this once


def make_roles(engine: Engine, addresses: Mapping[DatabaseRole, str]) -> list[MadeRole]:
    """Make the roles that `addresses` name, with their passwords; others are made with a name and password of ours.

    A role that is there is kept; it gets the password of its address where we may set it. `engine` is the owner's, and
    its database is migrated. All or nothing.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
        MigrationRefused: the roles cannot be made; the text says what to do.

    """
    with explaining(), engine.begin() as connection:
        made = [_make(connection, duty, engine.url, addresses.get(duty)) for duty in DatabaseRole]
        for role in made:
            connection.execute(_NOTE, {"duty": role.duty.value, "name": role.name})
        apply_rights(connection)
        return made


def apply_rights(connection: Connection, *, makes_roles: bool = False) -> None:
    """Give the roles that are noted what sql/rights.sql says, and no more. Without any this does nothing.

    A database that was restored on another server notes roles that are not there: MigrationRefused, or with
    `makes_roles` nothing, because they are about to be made.
    """
    noted = connection.execute(_NOTED).all()
    if missing := [role.name for role in noted if not role.is_there]:
        if makes_roles:
            return
        raise MigrationRefused(
            f"the database {'role' if len(missing) == 1 else 'roles'} {', '.join(missing)} of its services "
            f"{'is' if len(missing) == 1 else 'are'} not on this server, as after a restore: predictq migrate --roles "
            "makes them"
        )
    if not noted:
        return
    with driver_connection(connection).cursor() as cursor:
        cursor.execute(_RIGHTS.read_text(encoding="utf-8"))


def open_tables(engine: Engine) -> None:
    """Let gateway and worker read every table that the owner has made, or will make, outside the schema predictq.

    For a server that is ours alone, where whoever brings a table has nobody to ask for a GRANT. The roles are made.
    """
    with explaining(), engine.begin() as connection, driver_connection(connection).cursor() as cursor:
        cursor.execute(_OPEN_TABLES.read_text(encoding="utf-8"))


def role_addresses(settings: Settings) -> dict[DatabaseRole, str]:
    """The addresses of the services' roles that the settings name."""
    named = {duty: settings.address_of(duty) for duty in DatabaseRole}
    return {duty: address.get_secret_value() for duty, address in named.items() if address is not None}


def _make(connection: Connection, duty: DatabaseRole, owner: URL, address: str | None) -> MadeRole:
    url = make_url(address) if address else owner.set(username=duty.default_name, password=None)
    name = url.username or duty.default_name
    attributes = connection.execute(_FIND, {"name": name}).one_or_none()
    if attributes is None:
        password = str(url.password) if url.password else secrets.token_urlsafe(24)
        _execute(connection, f"CREATE ROLE {_quoted(connection, name)} LOGIN NOINHERIT PASSWORD", name, password)
        shown = None if address else url.set(password=password, drivername="postgresql")
        return MadeRole(duty, name, True, shown and shown.render_as_string(hide_password=False))
    if attributes.rolsuper or attributes.owns:
        raise MigrationRefused(
            f"the database role {name} is a superuser, or owns tables of predictq: the {duty} needs one that may less. "
            f"Name another in {duty.variable}"
        )
    if address and url.password:
        _set_password(connection, name, str(url.password))
    return MadeRole(duty, name, False, None)


def _set_password(connection: Connection, name: str, password: str) -> None:
    """Where we may: a role that an administrator made has the password that the administrator gave it."""
    try:
        with connection.begin_nested():
            _execute(connection, f"ALTER ROLE {_quoted(connection, name)} LOGIN PASSWORD", name, password)
    except DBAPIError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise


def _execute(connection: Connection, statement: str, name: str, password: str) -> None:
    """The statement with the password's verifier at its end: the password itself reaches no log of the server."""
    verifier = encrypt_password(password, name, driver_connection(connection), "scram-sha-256")
    connection.exec_driver_sql(f"{statement} %s", (verifier,))


def _quoted(connection: Connection, name: str) -> str:
    return quote_ident(name, driver_connection(connection)).replace("%", "%%")


_FIND = text("""
SELECT r.rolsuper, EXISTS (
    SELECT FROM pg_class c WHERE c.relnamespace = 'predictq'::regnamespace AND c.relowner = r.oid) AS owns
FROM pg_roles r WHERE r.rolname = :name
""")
_NOTED = text("""
SELECT d.name, EXISTS (SELECT FROM pg_roles r WHERE r.rolname = d.name) AS is_there
FROM predictq.database_roles d ORDER BY d.duty
""")
_NOTE = text("""
INSERT INTO predictq.database_roles (duty, name) VALUES (:duty, :name)
ON CONFLICT (duty) DO UPDATE SET name = excluded.name
""")
