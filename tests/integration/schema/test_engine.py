"""Connections: a line that is cut at whatever moment costs no more than the work that used it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from shared.config import Settings
from shared.errors import DatabaseUnavailable
from shared.postgres.engine import autocommit, driver_connection, make_engine, terse_transaction, transaction
from tests.integration.network import Network

ANY_QUERY = b"Q\0\0"  # how a simple query begins on the wire


@pytest.mark.parametrize("use", [autocommit, transaction, terse_transaction])
def test_a_line_cut_at_any_moment_costs_the_pool_no_slot(
    settings: Settings, use: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """After any query of a use has lost its answer, those of the driver's own included, the next use works.

    Even while the error of the first is still being handled, and in a pool of a single connection.
    """
    with Network(settings.database_url.get_secret_value()) as network:
        through = network.through(settings)
        engine = make_engine(through, application_name="test")
        lost = 0
        for after in range(5):
            _ask(engine, use)
            network.lose_answer_to(ANY_QUERY, after=after)
            try:
                _ask(engine, use)
            except DatabaseUnavailable:
                lost += 1
                _ask(engine, use)
            network.lose_answer_to(b"")
            assert engine.pool.status().endswith("connections: 0")
        engine.dispose()
    assert 0 < lost < 5, "both lost and answered ones were tried"


def test_an_autocommit_leaves_an_ordinary_connection(engine: Engine) -> None:
    """Whoever gets the connection next has transactions that can be rolled back."""
    with autocommit(engine) as connection:
        connection.execute(text("CREATE TABLE kept (n integer)"))
        connection.rollback()
    with transaction(engine) as connection:
        connection.execute(text("DROP TABLE kept"))
        assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
        connection.rollback()
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT to_regclass('kept')")).scalar_one() == "kept"


def test_no_plan_starts_a_helper(engine: Engine) -> None:
    """A batch is read by one process, however many rows the planner expects: to start another takes longer."""
    with transaction(engine) as connection:
        connection.execute(text("CREATE TABLE many AS SELECT generate_series(1, 100000) AS n"))
        for eager in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            connection.execute(text(f"SET LOCAL {eager} = 0"))
        plan = "\n".join(connection.execute(text("EXPLAIN SELECT count(*) FROM many WHERE n % 7 = 0")).scalars())
        connection.rollback()
    assert "Seq Scan on many" in plan
    assert "Gather" not in plan


@pytest.mark.parametrize("last", ["SELECT 1", "SELECT 1 / 0; COMMIT", ""])
def test_a_terse_transaction_without_its_commit_is_rolled_back(engine: Engine, last: str) -> None:
    """Forgotten, not reached for an error of PostgreSQL's, or for one of ours; the connection is as good as before."""
    with (
        contextlib.suppress(DBAPIError, ZeroDivisionError),
        terse_transaction(engine) as connection,
        driver_connection(connection).cursor() as cursor,
    ):
        cursor.execute("BEGIN; CREATE TABLE dropped (n integer)")
        if not last:
            raise ZeroDivisionError
        connection.execute(text(last))
    with terse_transaction(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.execute("BEGIN; SELECT to_regclass('dropped')")
        assert cursor.fetchone() == (None,)
        cursor.execute("CREATE TABLE kept (n integer); COMMIT")
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT to_regclass('kept')")).scalar_one() == "kept"


def _ask(engine: Engine, use: Callable[[Engine], AbstractContextManager[Connection]]) -> None:
    first, last = ("BEGIN; SELECT 1", "SELECT 1; COMMIT") if use is terse_transaction else ("SELECT 1", "SELECT 1")
    with use(engine) as connection:
        connection.execute(text(first))
        connection.execute(text(last))
