"""What the catalogue of a database says of a relation: its kind, its columns, its indexes, and what may be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.sources.errors import SourceRefused
from worker.sources.describing.rights import current_role, grant_lines

KINDS = {"r": "table", "v": "view", "m": "materialised view", "p": "partitioned table", "f": "foreign table"}
_BASE_TYPES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "numeric": "numeric",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "text": "text",
    "varchar": "varchar",
    "bpchar": "char",
    "uuid": "uuid",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}


@dataclass(frozen=True, slots=True)
class CatalogueColumn:
    """A column. `type` is a base type name of ours, or PostgreSQL's own words where it is none that we read."""

    name: str
    type: str
    is_known_type: bool
    nullable: bool
    comment: str | None
    is_readable: bool
    is_deterministic: bool  # whether its collation takes texts for equal only where they are the same
    labels: tuple[str, ...] = ()  # of an enum, in its order


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that can be a source. `unique` are the columns of each unique index without conditions."""

    oid: int
    schema: str
    name: str
    kind: str
    estimated_rows: float
    has_row_security: bool
    columns: tuple[CatalogueColumn, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = field(default=())  # the columns of each index, in its order
    foreign: tuple[str, ...] = ()  # foreign tables that are read with it

    def column(self, name: str) -> CatalogueColumn | None:
        """The column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)


READABLE = ("prediction_requests", "prediction_outputs", "prediction_trace", "job_status")  # of predictq's own schema


class RelationMissing(SourceRefused):
    """There is no table or view of this name."""


def find_relation(driver: PsycopgConnection, written: str) -> Relation:
    """The relation that a person wrote: `crm.policyholders`, `"My Schema"."My.Table"`, or its bare name.

    Raises RelationMissing; SourceRefused where there is more than one.
    """
    there = _candidates(driver, written)
    there = [row for row in there if not row.is_own] or there
    found = [row for row in there if row.may_use] or there
    if not found:
        raise RelationMissing(
            f"There is no table or view {written[:200]!r} in this database. Write it as SCHEMA.NAME, in double quotes "
            "where a name has capitals, dots or blanks."
        )
    if len(found) > 1:
        names = ", ".join(f"{row.schema}.{row.name}" for row in found[:10])
        raise SourceRefused(f"{written[:200]!r} may be any of {names}: name its schema.")
    oid, schema, name, kind, rows, has_row_security, may_use, _ = found[0]
    if kind not in KINDS:
        raise SourceRefused(f"{schema}.{name} is no table and no view.")
    columns = tuple(CatalogueColumn(*_typed(row, kind)) for row in _rows(driver, _COLUMNS, {"oid": oid}))
    if not may_use:
        lines = grant_lines(schema, name, [column.name for column in columns], current_role(driver))
        raise SourceRefused(
            f"{schema}.{name} is there, and the worker's database role may not use its schema. Its owner can allow "
            f"that, for all columns or for those that are needed: {' '.join(lines)}"
        )
    primary, unique, indexes = _indexes(driver, oid)
    foreign = tuple(row[0] for row in _rows(driver, _FOREIGN, {"oid": oid}))
    return Relation(oid, schema, name, KINDS[kind], rows, has_row_security, columns, primary, unique, indexes, foreign)


class _Candidate(NamedTuple):
    oid: int
    schema: str
    name: str
    kind: str
    rows: float
    has_row_security: bool
    may_use: bool  # its schema
    is_own: bool  # in predictq's own schema, and none of the views that are there to be read


def _candidates(driver: PsycopgConnection, written: str) -> list[_Candidate]:
    """First the name as it stands, then as SQL reads it: small letters where there are no quotes."""
    schema, _, name = written.rpartition(".")
    places = [(schema or None, name)]
    parts = _parsed(written)
    if 0 < len(parts) <= 2:
        places.append((parts[-2] if len(parts) > 1 else None, parts[-1]))
    for schema_name, relation in places:
        found = _rows(driver, _RELATIONS, {"schema": schema_name, "name": relation, "readable": list(READABLE)})
        if found:
            return [_Candidate(*row) for row in found]
    return []


def _parsed(written: str) -> list[str]:
    """The parts of an SQL name; none where it is no such name."""
    parts: list[str] = []
    rest = written.strip()
    while rest:
        if rest.startswith('"'):
            end = 1
            while (end := rest.find('"', end)) >= 0 and rest[end : end + 2] == '""':
                end += 2
            if end < 0:
                return []
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :]
        else:
            name, dot, rest = rest.partition(".")
            parts.append(name.strip().lower())
            rest = dot + rest
        if rest and not rest.startswith("."):
            return []
        rest = rest[1:]
    return parts


def _typed(row: tuple[Any, ...], kind: str) -> tuple[Any, ...]:
    name, base, base_schema, base_kind, words, is_required, comment, is_readable, is_deterministic, labels = row
    known = _BASE_TYPES.get(base) if base_schema == "pg_catalog" else None
    if base_kind == "e":
        known = "enum"
    elif base == "citext" and base_schema != "pg_catalog":
        known = "citext"
    # A view carries no NOT NULL, and a foreign table's is a promise that nobody keeps.
    nullable = not is_required or kind in ("v", "m", "f")
    return name, known or words, known is not None, nullable, comment, is_readable, is_deterministic, tuple(labels)


def _indexes(
    driver: PsycopgConnection, oid: int
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    primary: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = []
    every: list[tuple[str, ...]] = []
    for is_primary, is_unique, names in _rows(driver, _INDEXES, {"oid": oid}):
        columns = tuple(names)
        every.append(columns)
        if is_unique:
            unique.append(columns)
        if is_primary:
            primary = columns
    return primary, tuple(unique), tuple(every)


def _rows(driver: PsycopgConnection, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with driver.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


_RELATIONS = """
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples,
       CASE WHEN u.may_use THEN pg_catalog.row_security_active(c.oid) ELSE false END, u.may_use,
       n.nspname = 'predictq' AND pg_catalog.to_regclass('predictq.installation') IS NOT NULL
           AND c.relname <> ALL (%(readable)s)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS may_use) u
WHERE c.relname::text = %(name)s AND (%(schema)s::text IS NULL OR n.nspname::text = %(schema)s)
  AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY n.nspname
"""

# A domain is what it is made of, and required where any of its layers says so.
_COLUMNS = """
WITH RECURSIVE bases AS (
    SELECT a.attnum, t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typnotnull AS is_required
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, b.is_required OR t.typnotnull
    FROM bases b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
)
SELECT a.attname::text, b.typname::text, n.nspname::text, b.typtype::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull OR b.is_required,
       pg_catalog.col_description(a.attrelid, a.attnum),
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), coalesce(l.collisdeterministic, true),
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder)
FROM pg_catalog.pg_attribute a
JOIN bases b ON b.attnum = a.attnum AND b.typtype <> 'd'
JOIN pg_catalog.pg_namespace n ON n.oid = b.typnamespace
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_INDEXES = """
SELECT i.indisprimary, i.indisunique AND i.indimmediate, array_agg(a.attname::text ORDER BY k.n)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %(oid)s AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.n <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary, i.indisunique, i.indimmediate
ORDER BY i.indisprimary DESC, count(*), i.indexrelid
"""

# Itself, its parts and heirs, and what a view reads; a materialised view reads nothing but itself.
_FOREIGN = """
WITH RECURSIVE parts AS (
    SELECT %(oid)s::oid AS oid
    UNION
    SELECT further.oid FROM parts p CROSS JOIN LATERAL (
        SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i WHERE i.inhparent = p.oid
        UNION ALL
        SELECT d.refobjid FROM pg_catalog.pg_class v JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        WHERE v.oid = p.oid AND v.relkind = 'v'
    ) further
)
SELECT n.nspname || '.' || c.relname FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'f' ORDER BY 1 LIMIT 5
"""
