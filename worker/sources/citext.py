"""The type citext, which each database has in a schema of its own choice, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.sources.source import Source
from worker.sources.failures import source_failure


@dataclass(frozen=True, slots=True)
class Citext:
    """Where a database has the type, and whether its locale knows the small form of letters beyond ASCII."""

    schema: str
    knows_letters: bool


def has_citext(source: Source) -> bool:
    """Whether a column of the key has that type."""
    return any(column.type == "citext" for column in source.key)


def find_citext(driver: PsycopgConnection, source: Source) -> Citext:
    """Ask the source's database. Raises SourceAway, SourceFailed."""
    try:
        with driver.cursor() as cursor:
            cursor.execute(_FIND)
            (schema,) = cursor.fetchone() or ("public",)
            return Citext(schema, _knows_letters(driver))
    except psycopg2.Error as error:
        raise source_failure(source.name, error) from None


def _knows_letters(driver: PsycopgConnection) -> bool:
    try:
        with driver.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.lower(%s) OPERATOR(pg_catalog.=) %s", ("ÉЖ", "éж"))
            (knows,) = cursor.fetchone() or (False,)
            return bool(knows)
    except psycopg2.DataError:  # its encoding does not have them
        return False


_FIND = """
SELECT n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typname = 'citext' ORDER BY t.oid LIMIT 1
"""
