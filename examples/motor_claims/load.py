"""Two tables and a view in a schema of the user's own, `crm`, filled by COPY."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pandas as pd
from sqlalchemy import Connection, Engine, text

from examples.motor_claims.columns import KEY, POLICYHOLDERS, VEHICLES
from examples.motor_claims.dataset import generate, policy_key
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import transaction

ROWS = 100_000  # unless another number is asked for
SCHEMA, HOLDERS, CARS, VIEW = "crm", "crm.policyholders", "crm.vehicles", "crm.policies"

_LAST = f"SELECT coalesce(max(substr({KEY}, 3)::bigint), 0) FROM {HOLDERS}"


def load(engine: Engine, rows: int, seed: int, on_rows: Callable[[int], None]) -> str:
    """Add `rows` policies after the highest number there is; returns the first key.

    A policy depends on `seed` and its number alone. All come in one transaction. `on_rows` is told how many are sent.
    """
    with transaction(engine) as connection:
        make_tables(connection)
        connection.execute(text(f"LOCK TABLE {HOLDERS}, {CARS} IN SHARE ROW EXCLUSIVE MODE"))
        first = int(connection.execute(text(_LAST)).scalar_one()) + 1
        sent = 0
        for frame in generate(rows, seed, first):
            for table, columns in ((HOLDERS, POLICYHOLDERS), (CARS, VEHICLES)):
                names = list(columns)
                copy_in(connection, f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT csv)", _pieces(frame[names]))
            sent += len(frame)
            on_rows(sent)
    with transaction(engine) as connection:
        connection.execute(text(f"ANALYZE {HOLDERS}, {CARS}"))
    return policy_key(first)


def make_tables(connection: Connection) -> None:
    """Make the tables and the view where they are not there yet."""
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    for table, columns in ((HOLDERS, POLICYHOLDERS), (CARS, VEHICLES)):
        body = ",\n    ".join(f"{name} {kind}" for name, kind in columns.items())
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS {table} (\n    {body}\n)"))
    if connection.execute(text("SELECT to_regclass(:view)"), {"view": VIEW}).scalar_one() is None:
        cars = ", ".join(f"v.{name}" for name in VEHICLES if name != KEY)
        connection.execute(
            text(f"CREATE VIEW {VIEW} AS SELECT p.*, {cars} FROM {HOLDERS} p JOIN {CARS} v ON v.{KEY} = p.{KEY}")
        )


def _pieces(frame: pd.DataFrame) -> Iterator[bytes]:
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False, header=False)
    yield buffer.getvalue().encode()
