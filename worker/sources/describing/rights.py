"""What a database role needs to read a source, in words of SQL, and which roles there are."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.sources.sql import quoted


def grant_lines(schema: str, relation: str, columns: Sequence[str], role: str) -> list[str]:
    """What a database role needs to read a source: no more."""
    names = ", ".join(quoted(name) for name in columns)
    return [
        f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(role)};",
        f"GRANT SELECT ({names}) ON {quoted(schema)}.{quoted(relation)} TO {quoted(role)};",
    ]


def current_role(driver: PsycopgConnection) -> str:
    """The database role that a source is read with."""
    with driver.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        row = cursor.fetchone()
    return str(row[0]) if row else "predictq"


def gateway_role(driver: PsycopgConnection) -> str | None:
    """The database role of the gateway, where this is predictq's own database and it has one."""
    with driver.cursor() as cursor:
        cursor.execute("SELECT to_regclass('predictq.database_roles') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return None
        try:
            cursor.execute("SELECT name::text FROM predictq.database_roles WHERE duty = 'gateway'")
        except psycopg2.errors.InsufficientPrivilege:  # the predictq of somebody else
            return None
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def may_read(driver: PsycopgConnection, relation: int, columns: Sequence[str], role: str) -> bool:
    """Whether another role may read these columns of a relation, given by its oid."""
    with driver.cursor() as cursor:
        cursor.execute(_MAY_READ, {"relation": relation, "columns": list(columns), "role": role})
        row = cursor.fetchone()
    return bool(row and row[0])


_MAY_READ = """
SELECT pg_catalog.has_schema_privilege(%(role)s, c.relnamespace, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_catalog.unnest(%(columns)s) AS name
                   WHERE NOT pg_catalog.has_column_privilege(%(role)s, c.oid, name, 'SELECT'))
FROM pg_catalog.pg_class c WHERE c.oid = %(relation)s
"""
