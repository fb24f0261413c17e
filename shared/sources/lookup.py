"""How the gateway asks a source in predictq's own database whether it has a client, within its acceptance of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from shared.postgres.arrays import array_text
from shared.sources.source import Source
from shared.sources.sql import SQL_TYPES, quoted, relation

# The key as it is stored in a page, in the type of the column; where it comes out of a composite key's text: `{}`.
# Operators and types with their schema: a search_path of the role or the database may hide them behind others.
_STORED = {"smallint": "i.key_int8", "integer": "i.key_int8", "bigint": "i.key_int8", "uuid": "i.key_uuid"}
_LOOKED_UP = ("smallint", "integer", "bigint", "numeric", "text", "varchar", "char", "uuid", "date")
_CAST = {kind: f"({{}})::{SQL_TYPES[kind]}" for kind in _LOOKED_UP}
_EQUALS = "OPERATOR(pg_catalog.=)"
_PART = "(i.key_text::pg_catalog.jsonb OPERATOR(pg_catalog.->>) {})"


@dataclass(frozen=True, slots=True)
class Lookup:
    """`condition` is SQL that is true where the client of the row `i` (key_int8, key_uuid, key_text) is known."""

    source: str
    condition: str


def lookup_of(source: Source) -> Lookup | None:
    """How `source` is asked; None where it is elsewhere, has no index of its key, or its key has citext.

    Without an index each client would cost a reading of the table, within the one statement that accepts everybody's
    calls. A scalar subquery: EXISTS under OR may be hashed, which reads all keys of the table. Of citext the gateway
    knows neither the schema nor how the database's locale compares it.
    """
    is_indexed = bool(source.settings.get("is_indexed")) and not source.is_scan
    if source.url_variable is not None or not is_indexed or not all(key.type in _CAST for key in source.key):
        return None
    if len(source.key) == 1:
        key = source.key[0]
        wanted = _STORED.get(key.type) or _CAST[key.type].format("i.key_text")
        conditions = [f"c.{quoted(key.name)} {_EQUALS} {wanted}"]
    else:
        conditions = [
            f"c.{quoted(key.name)} {_EQUALS} {_CAST[key.type].format(_PART.format(number))}"
            for number, key in enumerate(source.key)
        ]
    return Lookup(
        source.name, f"(SELECT true FROM {relation(source)} c WHERE {' AND '.join(conditions)} LIMIT 1) IS NOT NULL"
    )


def is_known(connection: Connection, lookup: Lookup, keys: Mapping[str, str | int | None]) -> bool:
    """Whether the source has the client of this key, which is given by how it is stored: int8, uuid or text."""
    values = {f"key_{storage}": keys.get(storage) for storage in ("int8", "uuid", "text")}
    return bool(connection.execute(text(_IS_KNOWN.format(lookup.condition.replace(":", "\\:"))), values).scalar_one())


_IS_KNOWN = """
SELECT {} FROM (SELECT CAST(:key_int8 AS bigint) AS key_int8, CAST(:key_uuid AS uuid) AS key_uuid,
                       CAST(:key_text AS text) AS key_text) i
"""


def can_be_asked(connection: Connection, lookup: Lookup) -> bool:
    """Whether the source takes the question: not where its key has another type, or is gone, or may not be read."""
    try:
        is_known(connection, lookup, {})
    except ProgrammingError:
        return False
    return True


def may_look_up(connection: Connection, source: Source) -> bool:
    """Whether our database role may read the key of every row; otherwise unknown clients become errors of their rows.

    The key must be of a type that can be compared with what the source was added with. Row security may hide from this
    role what the worker's sees. A view has no index, and so is never looked at.
    """
    types = [_COMPARABLE.get(key.type, (SQL_TYPES[key.type],)) for key in source.key]
    values = {
        "schema": source.schema,
        "name": source.relation,
        "keys": [key.name for key in source.key],
        "types": [array_text(names) for names in types],
    }
    return bool(connection.execute(_MAY_READ, values).scalar())


_INTEGERS = tuple(SQL_TYPES[kind] for kind in ("smallint", "integer", "bigint"))
_TEXTS = (SQL_TYPES["text"], "pg_catalog.varchar", SQL_TYPES["char"])
_COMPARABLE = {
    **dict.fromkeys(("smallint", "integer", "bigint"), _INTEGERS),
    **dict.fromkeys(("text", "varchar", "char"), _TEXTS),
}

# A column of a domain has the type that the domain is made of, perhaps by way of another one.
_MAY_READ = text("""
SELECT has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid) AND (
    SELECT bool_and(coalesce(has_column_privilege(c.oid, a.attnum, 'SELECT') AND (
        WITH RECURSIVE base AS (
            SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = a.atttypid
            UNION ALL SELECT t.oid, t.typbasetype FROM pg_type t JOIN base b ON t.oid = b.typbasetype
        ) SELECT oid FROM base WHERE typbasetype = 0) = ANY (CAST(CAST(k.types AS text[]) AS regtype[])), false))
    FROM unnest(CAST(:keys AS text[]), CAST(:types AS text[])) k (name, types)
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attname = k.name)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name
""")
