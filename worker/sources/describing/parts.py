"""Parts of a description of a source: columns as JSON, the features that are read to measure, the lines of GRANT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.models.signature import FeatureKind, FeatureSpec
from shared.sources.source import SourceColumn
from shared.sources.sql import quoted
from worker.sources.describing.catalogue import CatalogueColumn

_KINDS = {
    "smallint": FeatureKind.INTEGER,
    "integer": FeatureKind.INTEGER,
    "bigint": FeatureKind.INTEGER,
    "boolean": FeatureKind.BOOLEAN,
    "numeric": FeatureKind.NUMBER,
    "real": FeatureKind.NUMBER,
    "double precision": FeatureKind.NUMBER,
}


def measured_feature(column: SourceColumn) -> FeatureSpec:
    """The column as a feature that may be missing, to see how long it takes to read."""
    return FeatureSpec(column.name, _KINDS.get(column.type, FeatureKind.CATEGORY), nullable=True)


def column_json(column: CatalogueColumn, null_fraction: float | None) -> dict[str, Any]:
    """A column as callers see it; `null_fraction` from 0 to 1, None where nobody looked."""
    return {
        "name": column.name,
        "type": column.type,
        "nullable": column.nullable,
        "comment": column.comment,
        "null_fraction": null_fraction,
    }


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
