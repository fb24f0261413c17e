"""A table that predictq keeps for a user who has none: made from a file, and brought up to date by later ones.

It lies in the schema `predictq_data` and is an entry among the sources. Nothing else in that schema is touched.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, text

from shared.errors import PredictqError
from shared.files.refusals import TableRefused
from shared.files.table import MOST_NAME_BYTES, Column
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import transaction
from shared.sources.errors import SourceExists, SourceRefused, SourceUnknown
from shared.sources.source import KeyColumn, Source, SourceColumn, add_source, read_source
from shared.sources.sql import quoted

SCHEMA = "predictq_data"
KEY_TYPES = ("smallint", "integer", "bigint", "numeric", "text", "uuid", "date")
_MARK = "Made by predictq clients import"  # the table's comment: only such tables are written to
_PIECE_ROWS = 1_000
_SHOWN = 20
_NAME = re.compile(r"[^\W\d_][^\x00-\x1f\x7f-\x9f]*")
_TYPE_NAMES = {
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "character varying": "text",
}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, in rows."""

    inserted: int
    updated: int
    unchanged: int

    @property
    def total(self) -> int:
        """Rows in the file."""
        return self.inserted + self.updated + self.unchanged


@dataclass(frozen=True, slots=True)
class ManagedTable:
    """A table as it stands: its key, and all of its columns with their types."""

    name: str
    key: tuple[str, ...]
    types: dict[str, str]


class DuplicateKeys(PredictqError):
    """A file has a key more than once, so that it is unclear which row counts. `lines` are the first two of each."""

    def __init__(self, key: Sequence[str], lines: list[tuple[int, int]]) -> None:
        first, second = lines[0]
        more = f" ({len(lines)} such keys were found)" if len(lines) > 1 else ""
        super().__init__(
            f"nothing was imported: the key ({', '.join(key)}) of line {first} stands again on line {second}{more}. "
            "Keep one of the rows, or name another key: --key COLUMN"
        )
        self.lines = lines


def require_name(name: str) -> None:
    """Raises TableRefused where a source cannot be called so."""
    if not _NAME.fullmatch(name) or len(name) > 100 or len(name.encode()) > MOST_NAME_BYTES:
        rule = "a letter comes first, and 63 bytes are the most; --source names it"
        raise TableRefused(f"a source cannot be called {name[:80]!r}: {rule}")


def read_managed(connection: Connection, name: str) -> ManagedTable | None:
    """The managed table of that name; None where there is none. Raises TableRefused where it is somebody else's."""
    found = connection.execute(_FIND, {"schema": SCHEMA, "name": name}).one_or_none()
    if found is None:
        return None
    if found.comment is None or not found.comment.startswith(_MARK):
        raise TableRefused(f"{SCHEMA}.{name} is there and was not made by an import: choose another name by --source")
    rows = connection.execute(_COLUMNS, {"table": found.oid}).all()
    types = {row.name: _TYPE_NAMES.get(row.type, row.type) for row in rows}
    return ManagedTable(name, tuple(found.key or ()), types)


def import_rows(
    engine: Engine, name: str, columns: Sequence[Column], key: Sequence[str], rows: Iterable[tuple[int, list[str]]]
) -> ImportReport:
    """Make the table and its source where they are missing, then insert and update its rows; all or nothing.

    `rows` are texts for PostgreSQL with their lines, in the order of `columns`. Raises whatever `rows` raises;
    TableRefused for a key that is null; DuplicateKeys; DatabaseUnavailable. Nothing is written then.
    """
    with transaction(engine) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"import {name}"})
        present = read_managed(connection, name)
        if present is None:
            _create(connection, name, columns, key)
        elif present.types != {column.name: column.type for column in columns} or present.key != tuple(key):
            raise TableRefused(f"nothing was imported: the table {name} was changed meanwhile. Import the file again")
        else:
            _require_source(connection, name, columns, key)
        types = ", ".join(f"c{number} {column.type}" for number, column in enumerate(columns))
        _run(connection, f"CREATE TEMPORARY TABLE incoming (line bigint, {types}) ON COMMIT DROP")
        copy_in(connection, "COPY incoming FROM STDIN (FORMAT csv)", _pieces(rows))
        _run(connection, "ANALYZE incoming")
        staged = {column.name: f"c{number}" for number, column in enumerate(columns)}  # whatever they are called
        _require_keys(connection, {name: staged[name] for name in key})
        table = f"{SCHEMA}.{quoted(name)}"
        report = _merge(connection, table, staged, key)
        rows = _run(connection, f"SELECT count(*) FROM {table}").scalar_one()
        connection.execute(_COUNTED, {"schema": SCHEMA, "name": name, "rows": rows})
        return report


def _create(connection: Connection, name: str, columns: Sequence[Column], key: Sequence[str]) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    types = ", ".join(f"{quoted(column.name)} {column.type}" for column in columns)
    table = f"{SCHEMA}.{quoted(name)}"
    _run(connection, f"CREATE TABLE {table} ({types}, PRIMARY KEY ({', '.join(map(quoted, key))}))")
    _run(connection, f"COMMENT ON TABLE {table} IS '{_MARK}'")
    add_managed_source(connection, name, columns, key)


def _require_source(connection: Connection, name: str, columns: Sequence[Column], key: Sequence[str]) -> None:
    """The table is read by the source of its name; one that was removed comes back. Raises TableRefused."""
    try:
        source = read_source(connection, name)
    except SourceUnknown:
        add_managed_source(connection, name, columns, key)
        return
    if (source.url_variable, source.schema, source.relation) != (None, SCHEMA, name):
        raise TableRefused(
            f"nothing was imported: the source {name} is of {source.schema}.{source.relation} by now, and nothing "
            f"reads {SCHEMA}.{name}. --source names another"
        )


def add_managed_source(connection: Connection, name: str, columns: Sequence[Column], key: Sequence[str]) -> None:
    """The table's entry among the sources. Raises TableRefused where another source has its name."""
    types = {column.name: column.type for column in columns}
    source = Source(
        id=0,
        name=name,
        url_variable=None,
        schema=SCHEMA,
        relation=name,
        key=tuple(KeyColumn(column, types[column]) for column in key),
        columns=tuple(SourceColumn(column.name, column.type, True) for column in columns if column.name not in key),
        settings={"is_indexed": True},
        measured={"kind": "table"},
    )
    try:
        add_source(connection, source)
    except (SourceExists, SourceRefused) as error:
        raise TableRefused(f"nothing was imported: {error} --source names another") from None


def _pieces(rows: Iterable[tuple[int, list[str]]]) -> Iterator[bytes]:
    buffer = io.StringIO(newline="")
    write = csv.writer(buffer, lineterminator="\r\n").writerow  # so that a carriage return in a text is quoted
    for number, (line, values) in enumerate(rows, 1):
        write((line, *values))
        if number % _PIECE_ROWS == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _require_keys(connection: Connection, key: Mapping[str, str]) -> None:
    """Each row has a whole key, and no two have the same. `key` has the staged column of each."""
    missing = [f"{column} IS NULL" for column in key.values()]
    query = f"SELECT line, {', '.join(missing)} FROM incoming WHERE {' OR '.join(missing)} ORDER BY line LIMIT 1"
    found = _run(connection, query).one_or_none()
    if found is not None:
        line, gaps = found.line, [bool(gap) for gap in tuple(found)[1:]]
        lacking = ", ".join(name for name, is_gap in zip(key, gaps, strict=True) if is_gap)
        what = f"line {line} has no {lacking}, which is {'the key' if len(key) == 1 else 'of the key'}"
        raise TableRefused(f"nothing was imported: {what}. Fill it in, or name another key: --key COLUMN")
    twice = _run(
        connection,
        "SELECT (array_agg(line ORDER BY line))[1:2] AS lines FROM incoming "
        f"GROUP BY {', '.join(key.values())} HAVING count(*) > 1 ORDER BY min(line) LIMIT {_SHOWN}",
    ).all()
    if twice:
        raise DuplicateKeys(list(key), [(row.lines[0], row.lines[1]) for row in twice])


def _merge(connection: Connection, table: str, staged: Mapping[str, str], key: Sequence[str]) -> ImportReport:
    """Write what differs; whoever only reads the table does not wait."""
    same_key = " AND ".join(f"t.{quoted(name)} = i.{staged[name]}" for name in key)
    others = [name for name in staged if name not in key]
    _run(connection, f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
    total = int(_run(connection, "SELECT count(*) FROM incoming").scalar_one())
    updated = 0
    if others:
        changes = ", ".join(f"{quoted(name)} = i.{staged[name]}" for name in others)
        differ = " OR ".join(f"t.{quoted(name)} IS DISTINCT FROM i.{staged[name]}" for name in others)
        updated = _run(
            connection, f"UPDATE {table} t SET {changes} FROM incoming i WHERE {same_key} AND ({differ})"
        ).rowcount
    inserted = _run(
        connection,
        f"INSERT INTO {table} ({', '.join(map(quoted, staged))}) SELECT {', '.join(staged.values())} FROM incoming i "
        f"WHERE NOT EXISTS (SELECT FROM {table} t WHERE {same_key}) ORDER BY line",
    ).rowcount
    return ImportReport(inserted, updated, total - inserted - updated)


def _run(connection: Connection, statement: str) -> CursorResult[Any]:
    """A statement with names of columns in it, which may hold anything: neither : nor % has a meaning there."""
    return connection.exec_driver_sql(statement.replace("%", "%%"))


_FIND = text("""
SELECT c.oid, obj_description(c.oid, 'pg_class') AS comment,
       (SELECT array_agg(CAST(a.attname AS text) ORDER BY k.position)
        FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, position)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :name
""")

_COUNTED = text("""
UPDATE predictq.sources SET measured = measured || jsonb_build_object('rows', CAST(:rows AS bigint), 'is_exact', true)
WHERE relation_schema = :schema AND relation_name = :name AND url_variable IS NULL AND removed_at IS NULL
""")

_COLUMNS = text("""
SELECT CAST(attname AS text) AS name, format_type(atttypid, NULL) AS type
FROM pg_attribute WHERE attrelid = :table AND attnum > 0 AND NOT attisdropped ORDER BY attnum
""")
