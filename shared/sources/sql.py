"""Sources in SQL: names, types and operators. A name of a user is a quoted identifier here, and nothing else.

Types and operators are written with their schema: a search_path may hide them behind others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from shared.sources.key_types import CITEXT
from shared.sources.keys import KeyColumn
from shared.sources.source import Source

SQL_TYPES = {
    "smallint": "pg_catalog.int2",
    "integer": "pg_catalog.int4",
    "bigint": "pg_catalog.int8",
    "numeric": "pg_catalog.numeric",
    "real": "pg_catalog.float4",
    "double precision": "pg_catalog.float8",
    "boolean": "pg_catalog.bool",
    "text": "pg_catalog.text",
    "varchar": "pg_catalog.text",
    "char": "pg_catalog.bpchar",
    "uuid": "pg_catalog.uuid",
    "date": "pg_catalog.date",
    "timestamp": "pg_catalog.timestamp",
    "timestamptz": "pg_catalog.timestamptz",
}
LOWEST_BIGINT = "'-9223372036854775808'::pg_catalog.int8"  # no key: see shared.sources.key_types
_TEXTS = {
    "numeric": "pg_catalog.trim_scale({})",
    "char": "{}::pg_catalog.text",
    **dict.fromkeys(CITEXT, "{}::pg_catalog.text"),
}


@dataclass(frozen=True, slots=True)
class KeySql:
    """How the columns of a key are written in SQL, in key order."""

    columns: tuple[str, ...]  # of the relation `c`
    types: tuple[str, ...]
    equals: tuple[str, ...]
    texts: tuple[str, ...]  # expressions whose text is the canonical form; citext as it is stored
    settled: str  # the condition that no citext of the key holds a strange letter; empty where there are none


@lru_cache(maxsize=64)
def key_sql(key: tuple[KeyColumn, ...], citext_schema: str | None, strange: str = "") -> KeySql:
    """For the key of a source; `citext_schema` is where its database has that type.

    `strange` are letters of no ASCII whose small form it has otherwise than our canonical form.
    """
    columns = tuple(f"c.{quoted(column.name)}" for column in key)
    schemas = [quoted(citext_schema or "public") if column.type in CITEXT else "pg_catalog" for column in key]
    types = tuple(SQL_TYPES.get(column.type) or f"{schema}.citext" for column, schema in zip(key, schemas, strict=True))
    texts = (_TEXTS.get(column.type, "{}").format(name) for column, name in zip(key, columns, strict=True))
    equals = tuple(f"OPERATOR({schema}.=)" for schema in schemas)
    stored = [
        _TEXTS[column.type].format(name) for column, name in zip(key, columns, strict=True) if column.type in CITEXT
    ]
    settled = [f"pg_catalog.translate({text}, '{strange}', '') OPERATOR(pg_catalog.=) {text}" for text in stored]
    return KeySql(columns, types, equals, tuple(texts), " AND ".join(settled) if strange else "")


def relation(source: Source) -> str:
    """The relation of a source as SQL names it."""
    return f"{quoted(source.schema)}.{quoted(source.relation)}"


def hold(source: Source) -> str:
    """What takes the lock of a source's relations, and reads nothing.

    COPY takes its snapshot before its locks. Where it waits for a table that is being filled anew (TRUNCATE, DROP and
    CREATE, a new type of a column), its snapshot is older than all rows there: it would find an empty table. Whoever
    has waited before sees them, for in READ COMMITTED each statement has its own snapshot.
    """
    return f"SELECT FROM {relation(source)} c LIMIT 0; "


def hold_for(source: Source, query: str) -> str:
    """What takes the locks that this query of a source needs, and reads nothing: see `hold`.

    Of a table with parts the query touches some alone, and a lock on the others must not stop it. To plan the query
    twice costs more than the plain lock, which does as well for a plain table. Of tables that inherit from
    it PostgreSQL locks all in either case.
    """
    return hold(source) if source.measured.get("kind") == "table" else f"{query} LIMIT 0; "


def quoted(name: str) -> str:
    """A name as an identifier, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


# Of the transaction alone: nobody's settings may change a text, or how a text is read.
SETTINGS = (
    "SET LOCAL extra_float_digits = 1; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres'; "
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL bytea_output = 'hex'; "
)
