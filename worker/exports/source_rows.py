"""Rows of a source as an Arrow file, in the types in which scoring reads them: what a model is trained on."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID

import numpy as np
import psycopg2
import pyarrow as pa
from sqlalchemy import Engine

from model.signature.infer import column_feature
from shared.exports import end_export, require_export, write_pieces
from shared.models.feature import EXACT_INTEGER
from shared.models.signature import Signature
from shared.postgres.engine import autocommit, transaction
from shared.sources.column import ROWS_METADATA
from shared.sources.row_files import MOST_ROWS, keep_for_an_hour
from shared.sources.source import Source, SourceColumn, get_source
from shared.sources.sql import hold, key_sql, relation
from worker.errands.failures import ErrandRefused
from worker.sources.citext import find_citext, has_citext
from worker.sources.columns import INTEGERS, plan_columns
from worker.sources.csv_table import parse
from worker.sources.failures import source_failure
from worker.sources.reader import SourceReader
from worker.sources.statements import session
from worker.temporary_room import named_when_full

_SECONDS = 1_500.0
_MOST_BYTES = 1 << 29  # of PostgreSQL's text, which is in memory while it is parsed


def write_source_rows(engine: Engine, arguments: dict[str, Any]) -> dict[str, Any]:
    """`read_rows`: {export_id, source_id, columns, rows, seed} to {rows}; the rows are stored as an export.

    The file's metadata say what the columns are, and how many rows were left out for a value that no feature can have.
    Raises SourceAway, SourceFailed, ErrandRefused, ExportGone, NoTemporaryRoom.
    """
    export_id, rows = UUID(arguments["export_id"]), arguments.get("rows")
    with autocommit(engine) as connection:
        require_export(connection, export_id)  # reading for nobody takes minutes
        source = get_source(connection, int(arguments["source_id"]))
    table = read_rows(SourceReader(engine), source, arguments["columns"], rows=rows, seed=int(arguments["seed"]))
    # Without a name: nothing stays where this process is killed.
    with named_when_full(), TemporaryFile(prefix="predictq-rows-") as file:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        sink = pa.PythonFile(file, "w")  # closed with the file
        with pa.ipc.new_file(sink, table.schema, options=options) as writer:
            writer.write_table(table)
        file.seek(0)
        size = write_pieces(engine, export_id, file)
    with transaction(engine) as connection:
        end_export(connection, export_id, size=size, rows=table.num_rows, is_whole=True)
        keep_for_an_hour(connection, export_id)
    return {"rows": table.num_rows}


def read_rows(reader: SourceReader, source: Source, names: Sequence[str], *, rows: int | None, seed: int) -> pa.Table:
    """The named columns of a source, or all that can be features, in key order; or so many rows, drawn by `seed`.

    Raises SourceAway, SourceFailed, ErrandRefused.
    """
    known = {column.name: column for column in (*source.columns, *source.filters)}
    columns = [known[name] for name in names or [column.name for column in source.columns]]
    source = replace(source, columns=tuple(columns))
    plan = plan_columns(source, Signature(tuple(column_feature(column) for column in columns)))
    buffer = _Bounded()
    with reader.connected(source) as driver, driver.cursor() as cursor:
        try:
            schema = find_citext(driver, source).schema if has_citext(source) else None
            chosen = f"SELECT 0{plan.select} FROM {relation(source)} c {_order(source, schema, rows, seed)}"
            statement = f"COPY ({chosen}) TO STDOUT (FORMAT csv)"
            settings = session(source, statement_seconds=_SECONDS, by_keys=False)
            cursor.copy_expert(settings + hold(source) + statement, buffer)
        except psycopg2.Error as error:
            raise source_failure(source.name, error) from None
    _, table, misfits = parse(buffer.getbuffer(), plan, is_number=True)
    if rows is None and table.num_rows > MOST_ROWS:
        raise _too_large(f"more than {MOST_ROWS:,} rows")
    return _fitting(table, columns, misfits)


def _order(source: Source, citext_schema: str | None, rows: int | None, seed: int) -> str:
    key = key_sql(source.key, citext_schema)
    if rows is None:
        return f"ORDER BY {', '.join(key.columns)} LIMIT {MOST_ROWS + 1}"
    # Columns of unlike collations have none together, and without one nothing is hashed.
    texts = f"""pg_catalog.concat_ws('/', {", ".join(key.texts)}) COLLATE pg_catalog."C\""""
    return f"ORDER BY pg_catalog.hashtextextended({texts}, {int(seed)}), {', '.join(key.columns)} LIMIT {int(rows)}"


def _fitting(table: pa.Table, columns: Sequence[SourceColumn], misfits: dict[int, str]) -> pa.Table:
    """The rows whose values all can be features; the metadata name the columns of the others."""
    unfit = dict(misfits)
    for column, values in zip(columns, table.columns, strict=True):
        for row in np.flatnonzero(_is_unfit(column, values)):
            unfit.setdefault(int(row), column.name)
    kept = np.ones(table.num_rows, dtype=np.bool_)
    kept[list(unfit)] = False
    about = {"columns": [asdict(column) for column in columns], "unfit": dict(Counter(unfit.values()))}
    return table.filter(pa.array(kept)).replace_schema_metadata({ROWS_METADATA: json.dumps(about).encode()})


def _is_unfit(column: SourceColumn, values: pa.ChunkedArray) -> Any:
    """Infinity, NaN, and a whole number that becomes a double and is none: all that scoring refuses, too."""
    if pa.types.is_floating(values.type):
        numbers = values.combine_chunks().to_numpy(zero_copy_only=False)  # a null is NaN, too
        gaps = values.combine_chunks().is_null().to_numpy(zero_copy_only=False)
        return ~np.isfinite(numbers) & ~gaps
    if column.type in INTEGERS and column.nullable:
        numbers = values.combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
        return (numbers > EXACT_INTEGER) | (numbers < -EXACT_INTEGER)
    return np.zeros(len(values), dtype=np.bool_)


class _Bounded(io.BytesIO):
    """Refuses more than fits."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > _MOST_BYTES:
            raise _too_large(f"more than {_MOST_BYTES >> 20} MB")
        return super().write(data)


def _too_large(what: str) -> ErrandRefused:
    return ErrandRefused(
        "too_many_rows", f"The source has {what}. Ask for a part of them, which is drawn at random: `rows` 200000, say."
    )
