"""PostgreSQL answers, and all the same nothing can be accepted: 503 that says why, and no more than that in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, Engine, text

from api.routes.jobs import listing as jobs_route
from api.watch import outage_log
from api.watch.outage_log import OutageLog
from shared.config import Settings
from shared.errors import DatabaseFull, DatabaseReadOnly, StatementCancelled
from shared.postgres.engine import autocommit, make_engine, transaction
from tests.integration.gateway.api_support import Gateway, new_key, running_gateway
from tests.integration.gateway.test_attention import needs
from tests.integration.gateway.test_singles import RAW
from tests.roles import service_settings
from tests.support import add_clients, add_model, wait_until

POSTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/predict", {"client_id": 1}),
    ("/v1/predict_raw", {"features": RAW}),
    ("/v1/jobs", {"client_ids": [1, 2]}),
    ("/v1/jobs", {"all": True}),
    ("/v1/models/default/versions/1/promote", {}),
]


@pytest.fixture
def gateway(settings: Settings, engine: Engine) -> Iterator[Gateway]:
    """A gateway called by an admin."""
    add_model(engine)
    add_clients(engine, 10)
    with running_gateway(settings, new_key(engine, "alice", is_admin=True)) as client:
        assert client.post("/v1/predict", json={"client_id": 1}).status_code == 202
        yield client


def set_database(engine: Engine, change: str) -> None:
    """Change a setting of the database for sessions to come, and end those of the gateway."""
    database = engine.url.database
    with autocommit(engine) as connection:
        connection.execute(text(f"ALTER DATABASE {database} {change}"))
        connection.execute(
            text("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name LIKE 'predictq-api-%'""")
        )


def test_a_read_only_postgresql_is_503_and_not_ready(gateway: Gateway, engine: Engine) -> None:
    """Every call that writes; reads go on. When it takes writes again, so does the gateway, without a restart."""
    set_database(engine, "SET default_transaction_read_only = on")
    for path, body in POSTS:
        answer = gateway.post(path, json=body)
        if answer.json()["type"] == "/problems/database-unavailable":
            # A change whose connection was ended is not repeated for the caller: its outcome was not known.
            answer = gateway.post(path, json=body)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-read-only"), answer.text
        assert int(answer.headers["retry-after"]) > 0
    ready = gateway.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert "read-only" in ready.json()["reasons"][0]
    assert gateway.get("/v1/jobs").status_code == 200
    with autocommit(engine) as connection:  # as a failover ends: nobody hangs up for us
        connection.execute(text(f"ALTER DATABASE {engine.url.database} RESET default_transaction_read_only"))
    for path, body in POSTS:
        wait_until(lambda: gateway.post(path, json=body).is_success, what=f"{path} again")  # noqa: B023
    assert gateway.get("/health/ready").status_code == 200


_FULL = """
CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER no_room BEFORE INSERT ON predictq.prediction_batches FOR EACH STATEMENT EXECUTE FUNCTION public.no_room()
"""


def test_a_full_disk_is_503_and_not_ready_until_a_job_is_accepted(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, so that nothing says that it is away, and no reading is taken for the end. It needs a person."""
    monkeypatch.setattr(outage_log, "_REPORT_SECONDS", 0.5)
    with engine.begin() as connection:
        connection.execute(text(_FULL))
    with structlog.testing.capture_logs() as log:
        for path, body in POSTS[:-1]:
            answer = gateway.post(path, json=body)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-full"), answer.text
            assert "does not answer" not in answer.text
        time.sleep(2)  # in which the gateway reads what waits
    assert {entry["event"] for entry in log if entry["event"].startswith("database_")} == {"database_unavailable"}
    ready = gateway.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert ready.json()["reasons"][0].startswith("PostgreSQL's disk is full")
    assert needs(gateway)["database_full"]["detail"] == "PostgreSQL's disk is full: nothing is accepted"
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER no_room ON predictq.prediction_batches"))
    assert gateway.get("/health/ready").status_code == 503
    assert gateway.post(POSTS[0][0], json=POSTS[0][1]).status_code == 202
    assert gateway.get("/health/ready").status_code == 200
    assert "database_full" not in needs(gateway)


def test_a_gateway_that_nobody_asks_any_more_is_ready_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A balancer sends it nothing while it is not: after a minute the next job finds out."""
    now = 1000.0
    monkeypatch.setattr(outage_log.time, "monotonic", lambda: now)
    log = OutageLog()
    log.note(DatabaseFull(OSError()))
    since = log.full_since
    assert since is not None
    now += 59
    log.note(DatabaseFull(OSError()))
    now += 59
    assert log.full_since == since
    now += 2
    assert log.full_since is None


def test_a_database_without_our_tables_is_503(settings: Settings, make_database: Callable[..., str]) -> None:
    """Not a 500 with a traceback for each call: the reason that /health/ready gives, and when to come again."""
    url, redis_url = make_database(migrated=False), settings.redis_url.get_secret_value()
    empty = service_settings(url, redis_url, auth_disabled=True)
    with running_gateway(empty) as gateway, structlog.testing.capture_logs() as log:
        for path, body in POSTS:
            answer = gateway.post(path, json=body)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/schema-missing"), answer.text
            assert "predictq migrate" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
        ready = gateway.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert "predictq migrate" in ready.json()["reasons"][0]
    assert [entry for entry in log if entry["event"] == "unexpected_error"] == []


def test_no_search_path_hides_our_tables(gateway: Gateway, engine: Engine) -> None:
    """All SQL of ours is qualified."""
    set_database(engine, "SET search_path = pg_catalog")
    for path, body in POSTS:
        wait_until(lambda: gateway.post(path, json=body).is_success, what=path)  # noqa: B023
    assert gateway.get("/health/ready").status_code == 200


def test_time_outs_of_the_role_are_not_ours(settings: Settings, engine: Engine) -> None:
    """Each connection says what it means, none included."""
    set_database(engine, "SET statement_timeout = '100ms'")
    set_database(engine, "SET lock_timeout = '100ms'")
    for seconds, expected in ((None, "0"), (4.0, "4s")):
        own = make_engine(
            settings, application_name="t", statement_timeout_seconds=seconds, lock_timeout_seconds=seconds
        )
        with transaction(own) as connection:
            for name in ("statement_timeout", "lock_timeout"):
                assert connection.execute(text(f"SHOW {name}")).scalar_one() == expected
        own.dispose()


def test_a_cancelled_statement_is_not_an_absent_server(
    gateway: Gateway, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told the difference, and the statement is not tried a second time."""
    asked = []

    def cancelled(connection: Connection, *_: object, **__: object) -> None:
        asked.append(1)
        connection.execute(text("SET statement_timeout = 50"))
        try:
            connection.execute(text("SELECT pg_sleep(5)"))
        finally:
            connection.execute(text("SET statement_timeout = 4000"))

    monkeypatch.setattr(jobs_route, "find_jobs", cancelled)
    answer = gateway.get("/v1/jobs")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/statement-cancelled")
    assert "does not answer" not in answer.text
    assert len(asked) == 1


def test_what_the_driver_says_is_named(settings: Settings) -> None:
    """The text has the SQLSTATE and nothing else of PostgreSQL's. A server that is read-only is left."""
    own = make_engine(settings, application_name="t", statement_timeout_seconds=0.05)
    with pytest.raises(StatementCancelled, match=r"QueryCanceled \(SQLSTATE 57014\)$"):
        ask(own, "SELECT pg_sleep(5), 'planted'")
    backend = ask(own, "SELECT pg_backend_pid()")
    assert ask(own, "SELECT pg_backend_pid()") == backend
    with pytest.raises(DatabaseReadOnly, match="SQLSTATE 25006"):
        ask(own, "SET TRANSACTION READ ONLY; CREATE TABLE t ()")
    assert ask(own, "SELECT pg_backend_pid()") != backend
    own.dispose()


def ask(engine: Engine, statement: str) -> Any:
    with transaction(engine) as connection:
        return connection.execute(text(statement)).scalar()
