"""Values that are planted in calls stand in no log: not in the gateway's, nor the worker's, nor PostgreSQL's own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from sqlalchemy import Engine, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings
from shared.postgres.engine import autocommit
from tests.integration.gateway.api_support import bearer, new_key
from tests.integration.gateway.test_singles import RAW
from tests.support import ROOT, add_clients, add_model, environment, stop, submit_bulk, wait_until, worker_process

INCOME = 733_137_331  # a feature's value
CLIENT = 9_155_191_551  # a client's key
KEY = "planted-key-2718"  # an Idempotency-Key
WORD = "planted-word-3141"
PLANTED = [str(INCOME), str(CLIENT), KEY, WORD]


@contextlib.contextmanager
def gateway_process(settings: Settings, log: Path, key: str) -> Iterator[httpx.Client]:
    """A gateway as it is run, with its log in a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "api", "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer(key), timeout=30) as client:
            wait_until(lambda: _is_up(client), what="the gateway is up")
            yield client
    finally:
        stop(process)


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_no_log_of_gateway_or_postgresql_has_a_planted_value(
    settings: Settings, engine: Engine, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """A lock time-out, a read-only server, a bad value, a broken constraint, a statement cut off: by every call."""
    add_model(engine)
    add_clients(engine, 3)
    before, log = postgres.log_path.stat().st_size, tmp_path / "gateway.log"
    with gateway_process(settings, log, new_key(engine, "alice")) as gateway:
        assert {status for status in ask_everything(gateway) if status >= 500} == set()
        with engine.begin() as connection:  # a lock time-out
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text("LOCK TABLE predictq.batch_requests, predictq.jobs IN ACCESS EXCLUSIVE MODE"))
            assert 503 in ask_everything(gateway)
        never = "ALTER TABLE predictq.batch_requests ADD CONSTRAINT never CHECK (false) NOT VALID"
        with changed(engine, never, "ALTER TABLE predictq.batch_requests DROP CONSTRAINT never"):
            assert 500 in ask_everything(gateway)
        database = engine.url.database
        read_only = f"ALTER DATABASE {database} SET default_transaction_read_only = on"
        with changed(engine, read_only, f"ALTER DATABASE {database} RESET ALL"):
            end_sessions(engine)
            assert 503 in ask_everything(gateway)
    with pytest.raises(psycopg2.DataError):  # a bad value, a duplicate key: whoever sends them
        fail(engine, f"SELECT '{WORD}'::integer")
    with pytest.raises(psycopg2.IntegrityError):
        fail(engine, f"CREATE TEMP TABLE t (k text PRIMARY KEY); INSERT INTO t VALUES ('{WORD}'), ('{WORD}')")
    with pytest.raises(psycopg2.OperationalError):
        fail(engine, f"SET statement_timeout = 10; SELECT pg_sleep(5), '{WORD}'")
    written = log.read_text()
    assert "unexpected_error" in written
    assert "SQLSTATE 23514" in written, "what went wrong is said"
    assert_clean(written)
    assert_clean(postgres.log_path.read_bytes()[before:].decode(errors="replace"))


def ask_everything(gateway: httpx.Client) -> list[int]:
    """Statuses of calls that carry planted values wherever a call can carry one."""
    calls: list[tuple[str, Any]] = [
        ("/v1/predict_raw", {"features": {**RAW, "monthly_income": INCOME}}),
        ("/v1/predict_raw", {"features": {**RAW, "department": WORD}}),
        ("/v1/predict", {"client_id": 1}),
        ("/v1/predict", {"client_id": CLIENT}),
        ("/v1/jobs", {"client_ids": [1, CLIENT]}),
        ("/v1/jobs", {"where": {"monthly_income": INCOME}}),
        ("/v1/jobs", {"where": {"department": WORD}}),
    ]
    keyed = {"Idempotency-Key": f"{KEY}-{os.urandom(4).hex()}"}
    found = [gateway.post(path, json=body).status_code for path, body in calls]
    return [*found, gateway.post("/v1/predict_raw", json=calls[0][1], headers=keyed).status_code]


@contextlib.contextmanager
def changed(engine: Engine, change: str, undo: str) -> Iterator[None]:
    with autocommit(engine) as connection:
        connection.execute(text(change))
    try:
        yield
    finally:
        with autocommit(engine) as connection:
            connection.execute(text(undo))


def end_sessions(engine: Engine) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'predictq-api-%'"
    with autocommit(engine) as connection:
        connection.execute(text(query))


def fail(engine: Engine, statement: str) -> None:
    url = engine.url
    session = psycopg2.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database
    )
    with contextlib.closing(session), session.cursor() as cursor:
        cursor.execute(statement)


def assert_clean(written: str) -> None:
    for planted in PLANTED:
        assert [line for line in written.splitlines() if planted in line] == [], planted


def test_no_log_of_a_worker_has_a_planted_value(
    settings: Settings, engine: Engine, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """A batch whose answers PostgreSQL refuses, again and again: said with its SQLSTATE, in log and table."""
    add_model(engine)
    add_clients(engine, 3)
    before, log = postgres.log_path.stat().st_size, tmp_path / "worker.log"
    with engine.begin() as connection:
        connection.execute(text(_REFUSE))
    submit_bulk(engine, [1, CLIENT])
    with worker_process(settings, log=log):
        wait_until(lambda: "SQLSTATE 22000" in last_error(engine), seconds=90, what=f"the failure is kept: {log}")
        wait_until(lambda: "batch failed" in log.read_text(), what="the failure is logged")
    written = log.read_text()
    assert "SQLSTATE 22000" in written
    assert "claims.py:" in written, "where it happened is said"
    assert_clean(written + last_error(engine))
    assert_clean(postgres.log_path.read_bytes()[before:].decode(errors="replace"))


def last_error(engine: Engine) -> str:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT max(last_error) FROM predictq.prediction_batches")).scalar()
    return found or ""


_REFUSE = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'row of client {CLIENT}: {WORD}' USING ERRCODE = '22000', DETAIL = '{INCOME}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON predictq.batch_outputs FOR EACH ROW EXECUTE FUNCTION refuse();
"""
