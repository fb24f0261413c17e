"""Connections: a line that is cut at whatever moment costs no more than the work that used it."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import SimpleNamespace

import psycopg2
import pytest
from psycopg2.errors import DivisionByZero
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from shared.config import Settings
from shared.errors import DatabaseUnavailable
from shared.postgres import copy_in as copying
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import autocommit, driver_connection, make_engine, transaction
from tests.integration.network import Network
from tests.support import wait_until

ANY_QUERY = b"Q\0\0"  # how a simple query begins on the wire


@pytest.mark.parametrize("use", [autocommit, transaction])
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
        connection.execute(text("CREATE TABLE remembered (n integer)"))
        connection.rollback()
    with transaction(engine) as connection:
        connection.execute(text("DROP TABLE remembered"))
        assert connection.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
        connection.rollback()
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT to_regclass('remembered')")).scalar_one() == "remembered"


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


def _ask(engine: Engine, use: Callable[[Engine], AbstractContextManager[Connection]]) -> None:
    with use(engine) as connection:
        connection.execute(text("SELECT 1"))
        connection.execute(text("SELECT 1"))


@pytest.mark.parametrize("use", [autocommit, transaction])
def test_a_copy_that_is_given_up_keeps_no_connection(
    engine: Engine, use: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """An error of ours while rows arrive ends the statement, and the next use waits for none of them."""
    given_up = _backend(engine, use)
    with pytest.raises(_Full), use(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.copy_expert("COPY (SELECT generate_series(1, 30000000)) TO STDOUT", _NoRoom())
    assert _backend(engine, use) != given_up
    wait_until(lambda: not _is_there(engine, given_up), what="the end of the statement")


@pytest.mark.parametrize("use", [autocommit, transaction])
def test_a_copy_that_the_server_gives_up_keeps_its_connection(
    engine: Engine, use: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """Its error ends the statement by itself, so nobody has to connect anew."""
    before = _backend(engine, use)
    with pytest.raises(DivisionByZero), use(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.copy_expert("COPY (SELECT 1 / (5 - n) FROM generate_series(1, 9) n) TO STDOUT", io.BytesIO())
    assert _backend(engine, use) == before


def _backend(engine: Engine, use: Callable[[Engine], AbstractContextManager[Connection]]) -> int:
    with use(engine) as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


class _Full(Exception):
    """Ours, not the driver's."""


class _NoRoom(io.BytesIO):
    def write(self, _: object) -> int:
        raise _Full


def test_an_error_of_a_copy_tells_no_row(engine: Engine) -> None:
    """PostgreSQL says which row it was reading, and whose; a log must not have it. What went wrong is still told."""
    change = "CREATE TABLE copied (client_id text, number integer NOT NULL)"
    with transaction(engine) as connection:
        connection.execute(text(change))
    for rows in (b"SECRET-1\t1\nSECRET-2\t\\N\n", b"SECRET-1\n"):
        with pytest.raises(psycopg2.Error) as caught, engine.begin() as connection:
            copy_in(connection, "COPY copied FROM STDIN", [rows])
        assert caught.value.pgcode in ("23502", "22P04")
        assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_a_driver_error_inside_another_is_found(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a connection ends while a piece is read, Python wraps the driver's error in one of its own."""
    lost = psycopg2.OperationalError('terminating connection\nCONTEXT:  COPY copied, line 1: "SECRET-1"')

    class Cursor:
        def __enter__(self) -> Cursor:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

        def copy_expert(self, *_: object) -> None:
            raise SystemError("returned a result with an exception set") from lost

    monkeypatch.setattr(copying, "driver_connection", lambda _: SimpleNamespace(cursor=Cursor))
    with engine.connect() as connection, pytest.raises(psycopg2.OperationalError) as caught:
        copy_in(connection, "COPY copied FROM STDIN", [])
    assert caught.value is lost
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_transaction_that_the_server_has_ended_is_named(engine: Engine, setting: str) -> None:
    """It is lost as when a connection is: callers are told to come again, and the next use works."""
    with pytest.raises(DatabaseUnavailable):
        _outlive_a_transaction(engine, setting)
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def _outlive_a_transaction(engine: Engine, setting: str) -> None:
    with transaction(engine) as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(text(f"SET LOCAL {setting} = 50"))
        wait_until(lambda: not _is_there(engine, backend), what="end of the transaction")
        connection.execute(text("SELECT 1"))


def test_no_role_limits_transactions(engine: Engine) -> None:
    """A bulk job is one transaction, however long it takes: a limit of the database does not hold for ours."""
    with autocommit(engine) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET transaction_timeout = '1h'"))
    engine.dispose()
    with transaction(engine) as connection:
        assert connection.execute(text("SHOW transaction_timeout")).scalar_one() == "0"


@pytest.mark.parametrize(("set_to", "used"), [("off", "on"), ("remote_apply", "remote_apply"), ("local", "local")])
def test_a_commit_is_on_the_disk_whatever_the_database_says(engine: Engine, set_to: str, used: str) -> None:
    """Else a crash of the server would take what was answered with 202. What waits for standbys, too, stays."""
    _set_for_database(engine, f"synchronous_commit = {set_to}")
    with autocommit(engine) as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == used


def test_null_is_no_word_in_an_array_whatever_the_database_says(engine: Engine) -> None:
    """A row of a page that has no key, no label or no answer is NULL there."""
    _set_for_database(engine, "array_nulls = off")
    with autocommit(engine) as connection:
        assert connection.execute(text("SELECT CAST('{1,NULL}' AS float8[])")).scalar_one() == [1.0, None]
        assert connection.execute(text("SELECT CAST('{a,NULL}' AS text[])")).scalar_one() == ["a", None]


def _set_for_database(engine: Engine, setting: str) -> None:
    with autocommit(engine) as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET {setting}"))
    engine.dispose()


def _is_there(engine: Engine, backend: int) -> bool:
    query = text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid)")
    with engine.connect() as connection:
        return bool(connection.execute(query, {"pid": backend}).scalar_one())


@pytest.mark.parametrize("use", [autocommit, transaction])
def test_what_an_error_says_holds_no_value_of_its_statement(
    engine: Engine, use: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    """Nor does its traceback, unless the server quotes the line itself: values are client keys and features."""
    planted = f"planted-{4711}"  # a traceback quotes the lines of this test, too
    with pytest.raises(DBAPIError) as raised, use(engine) as connection:
        connection.execute(text("SELECT 1 / 0, CAST(:planted AS text)"), {"planted": planted})
    assert "division by zero" in str(raised.value)
    assert planted not in "".join(traceback.format_exception(raised.value))
