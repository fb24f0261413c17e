"""The sample's table, `predictq_data.clients`, made and filled: a plain table, which predictq only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyarrow import csv
from sqlalchemy import Connection, Engine, text

from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import FEATURE_NAMES, FEATURES, KEY
from shared.models.signature import FeatureKind, FeatureSpec
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import transaction

ROWS = 10_000  # unless another number is asked for
SCHEMA, TABLE = "predictq_data", "predictq_data.clients"

_COLUMNS = ", ".join((KEY, *FEATURE_NAMES))
_SQL_TYPES = {
    FeatureKind.INTEGER: "integer",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}


def load(engine: Engine, rows: int, seed: int, on_rows: Callable[[int], None]) -> int:
    """Add `rows` clients after the highest id there is; returns the first id. `on_rows` is told how many are sent.

    A client depends on `seed` and its id alone. All come in one transaction.
    """
    with transaction(engine) as connection:
        make_table(connection)
        # Two loads at once would take the same ids; readers go on.
        connection.execute(text(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE"))
        first = int(connection.execute(text(f"SELECT coalesce(max({KEY}), 0) + 1 FROM {TABLE}")).scalar_one())
        copy_in(connection, f"COPY {TABLE} ({_COLUMNS}) FROM STDIN (FORMAT csv)", _pieces(rows, seed, first, on_rows))
    with transaction(engine) as connection:
        # The planner must not take a table that was empty a moment ago for small.
        connection.execute(text(f"ANALYZE {TABLE}"))
    return first


def make_table(connection: Connection) -> None:
    """Make the table where it is not there yet."""
    columns = ",\n    ".join(_column(spec) for spec in FEATURES)
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.execute(text(f"CREATE TABLE IF NOT EXISTS {TABLE} (\n    {KEY} bigint PRIMARY KEY,\n    {columns}\n)"))


def _column(spec: FeatureSpec) -> str:
    limits = "" if spec.minimum is None else f" CHECK ({spec.name} BETWEEN {spec.minimum:.0f} AND {spec.maximum:.0f})"
    return f"{spec.name} {_SQL_TYPES[spec.kind]}{limits}"


def _pieces(rows: int, seed: int, first: int, on_rows: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    for frame in generate(rows, seed, first):
        buffer = pa.BufferOutputStream()
        table = pa.Table.from_pandas(frame[[KEY, *FEATURE_NAMES]], preserve_index=False)
        csv.write_csv(table, buffer, csv.WriteOptions(include_header=False))
        yield buffer.getvalue().to_pybytes()
        done += len(frame)
        on_rows(done)
