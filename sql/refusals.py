"""What stands in the way of a migration, in one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.errors import InsufficientPrivilege, ReadOnlySqlTransaction
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from shared.errors import PredictqError
from shared.postgres.engine import naming_failures
from sql.catalogue import lacking

_SHOWN = 3  # names of strangers' tables


class MigrationRefused(PredictqError):
    """The schema cannot be made or brought up to date. Nothing was changed."""


@contextmanager
def explaining() -> Iterator[None]:
    """Turn what PostgreSQL says into `MigrationRefused`, and a server that is away into `DatabaseUnavailable`."""
    try:
        with naming_failures():
            yield
    except DBAPIError as error:
        raise MigrationRefused(_in_a_line(error.orig)) from error
    except psycopg2.Error as error:  # of the driver's own cursor
        raise MigrationRefused(_in_a_line(error)) from error


def _in_a_line(cause: BaseException | None) -> str:
    said = str(cause).strip().partition("\n")[0]
    if isinstance(cause, InsufficientPrivilege):
        return f"PostgreSQL refuses the migration: {said}. Migrate as the owner of the database, or of its tables"
    if isinstance(cause, ReadOnlySqlTransaction):
        return f"PostgreSQL refuses the migration: {said}. This server takes no writes: name the primary"
    place = isinstance(cause, psycopg2.Error) and cause.diag.table_name
    return f"PostgreSQL refuses the migration: {said}{f' (table {place})' if place else ''}. Nothing was changed"


def check_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every text. Raises MigrationRefused."""
    name, encoding = connection.execute(_ENCODING).one()
    if encoding != "UTF8":
        raise MigrationRefused(
            f"the database {name} is encoded in {encoding}, and predictq needs UTF8: make it with createdb "
            f"--encoding=UTF8 --template=template0 {name}"
        )


def check_schema_is_ours(connection: Connection, known: frozenset[str]) -> None:
    """Refuse a schema `predictq` that somebody else made, or that a newer release has migrated.

    `known` are the revisions of this release. Raises MigrationRefused.
    """
    names = connection.execute(_RELATIONS).scalars().all()
    if not names:
        return
    if "alembic_version" not in names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise MigrationRefused(
            f"the schema predictq of this database holds what is not predictq's ({', '.join(names[:_SHOWN])}{more}): "
            "use another database, or rename that schema: ALTER SCHEMA predictq RENAME TO …"
        )
    found = connection.execute(text("SELECT version_num FROM predictq.alembic_version")).scalars().all()
    if strange := [revision for revision in found if revision not in known]:
        raise MigrationRefused(
            f"the database is at schema {', '.join(strange)}, which this release does not know: run the release that "
            "made it, or a newer one"
        )


def check_nothing_lacks(connection: Connection, revision: str | None) -> None:
    """Refuse a database at this revision that lacks what the revision has. Raises MigrationRefused."""
    names = lacking(connection)
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise MigrationRefused(
            f"the database is at schema {revision} and lacks {', '.join(names[:_SHOWN])}{more}: the release that made "
            "it was an earlier one of the same revision, or somebody took them away. Nothing can add them: use a new "
            "database, or restore a backup in which they are"
        )


_ENCODING = text("SELECT current_database(), current_setting('server_encoding')")
_RELATIONS = text("""
SELECT relname::text FROM pg_class
WHERE relnamespace = to_regnamespace('predictq') AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY relname
""")
