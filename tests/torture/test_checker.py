"""The checker itself: consistent tables pass, and each way to break a promise is found."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, make_url, text

from tests.models import right_answer
from tests.support import add_clients, add_model, change_client
from tests.torture.checker import Violation, check
from tests.torture.ledger import Event
from tests.torture.manners import check_manners

SINGLE, BULK = str(uuid.uuid4()), str(uuid.uuid4())


def _ask(key: str, kind: str, clients: list[int]) -> Event:
    return {"what": "ask", "key": key, "kind": kind, "clients": clients, "features": None}


def _answer(key: str, job: str) -> Event:
    return {"what": "answer", "key": key, "job": job, "status": 202, "path": "/v1/predict"}


@pytest.fixture
def events() -> list[Event]:
    """A single job on client 1, a bulk job on clients 2, 3 and 99, which there is not."""
    asks = [_ask("k1", "single", [1]), _ask("k2", "bulk", [2, 3, 99])]
    return [*asks, _answer("k1", SINGLE), _answer("k2", BULK)]


@pytest.fixture
def consistent(engine: Engine) -> Engine:
    """The same in PostgreSQL, answered as it should be; client 1 has changed since."""
    add_model(engine)
    add_clients(engine, 5)
    features = [(20 + n % 40, 1000 + n % 997, "Sales" if n % 3 == 0 else "Research & Development", n % 2 == 0)
                for n in range(4)]  # fmt: skip
    right = [right_answer(*values) for values in features]
    with engine.begin() as connection:
        for job, kind, count, request, key in ((SINGLE, "single", 1, 100_000, "k1"), (BULK, "bulk", 3, None, "k2")):
            connection.execute(
                text("""INSERT INTO jobs (id, kind, owner, model_version, request_count, request_id,
                        idempotency_key, payload_hash) VALUES (:job, :kind, 'o', 1, :count, :request, :key, 'h')"""),
                {"job": job, "kind": kind, "count": count, "request": request, "key": key},
            )
        connection.execute(
            text("""INSERT INTO prediction_batches (id, job_id, queue, model_version, request_count, status, fence,
                    worker, attempts, claimed_at, finished_at, succeeded, failed) OVERRIDING SYSTEM VALUE VALUES
                    (1, NULL, 'interactive', 1, 1, 'finished', 1, 'w', 1, now(), now(), 1, 0),
                    (2, :job, 'bulk', 1, 3, 'finished', 2, 'w', 2, now(), now(), 2, 1)"""),
            {"job": BULK},
        )
        for request, job, client in ((100_000, SINGLE, 1), (200_000, BULK, 2), (200_001, BULK, 3), (200_002, BULK, 99)):
            connection.execute(
                text("INSERT INTO prediction_requests (request_id, job_id, client_id) VALUES (:r, :j, :c)"),
                {"r": request, "j": job, "c": client},
            )
        for request, client, fence in ((100_000, 1, 1), (200_000, 2, 2), (200_001, 3, 2)):
            connection.execute(
                text("""INSERT INTO prediction_outputs (request_id, probability, label, threshold, model_version,
                        client_version, fence) VALUES (:r, :p, :l, 0.5, 1, 1, :f)"""),
                {"r": request, "p": right[client], "l": int(right[client] >= 0.5), "f": fence},
            )
        connection.execute(
            text("""INSERT INTO prediction_outputs (request_id, model_version, error_code, error_detail, fence)
                    VALUES (200002, 1, 'unknown_client', 'none', 2)""")
        )
    change_client(engine, 1, monthly_income=7)
    return engine


def _dsn(engine: Engine) -> str:
    url = make_url(engine.url)
    return f"host={url.host} port={url.port} user={url.username} password={url.password} dbname={url.database}"


def _check(engine: Engine, events: list[Event]) -> list[Violation]:
    return check(events, _dsn(engine), {1: 0.0})


def test_consistent_tables_pass(consistent: Engine, events: list[Event]) -> None:
    """Right answers, one of them for a client that has changed since, are no violation."""
    assert _check(consistent, events) == []


_BROKEN_TABLES = {
    "DELETE FROM prediction_outputs WHERE request_id = 200000": "each row has one answer or one stated error",
    "UPDATE prediction_outputs SET probability = 0.123, label = 0 WHERE request_id = 200000": (
        "each answer is right for the version it names"
    ),
    "UPDATE prediction_outputs SET client_version = 2 WHERE request_id = 100000": (
        "each answer is right for the version it names"
    ),
    "UPDATE prediction_outputs SET fence = 1 WHERE request_id = 200001": "each output carries the winning fence",
    "INSERT INTO prediction_outputs (request_id, probability, label, threshold, model_version, fence) "
    "VALUES (200007, 0.5, 1, 0.5, 1, 2)": "nothing unrequested appears",
    "UPDATE prediction_requests SET client_id = 4 WHERE request_id = 200001": "the job holds what was asked",
    "DELETE FROM prediction_requests WHERE request_id = 200002": "the job holds what was asked",
    "UPDATE prediction_batches SET succeeded = 3, failed = 0 WHERE id = 2": (
        "accepted = succeeded + failed + cancelled + in flight"
    ),
    "UPDATE prediction_batches SET status = 'running', finished_at = NULL, lease_until = now(), succeeded = 0, "
    "failed = 0 WHERE id = 2": "only a finished batch has outputs",
    "UPDATE jobs SET idempotency_key = 'stranger' WHERE kind = 'single'": "nothing unrequested appears",
}


@pytest.mark.parametrize(("statement", "promise"), _BROKEN_TABLES.items())
def test_broken_tables_are_found(statement: str, promise: str, consistent: Engine, events: list[Event]) -> None:
    """Whatever is missing, wrong or too much in PostgreSQL is named by the promise that it breaks."""
    connection = psycopg2.connect(_dsn(consistent))
    with connection, connection.cursor() as cursor:
        for table in ("prediction_outputs", "prediction_requests", "prediction_batches", "jobs"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(statement)
    connection.close()
    assert promise in {violation.promise for violation in _check(consistent, events)}


def _lost(events: list[Event]) -> None:
    events.append(_ask("k3", "single", [2]))
    events.append(_answer("k3", str(uuid.uuid4())))


def _doubled(events: list[Event]) -> None:
    events.append(_ask("k3", "single", [1]))
    events.append(_answer("k3", SINGLE))


def _retold(events: list[Event]) -> None:
    events.append({"what": "told", "job": SINGLE, "status": "failed"})


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (_lost, "a 202 means the job is in PostgreSQL"),
        (_doubled, "one job per Idempotency-Key"),
        (_retold, "an end is final"),
    ],
)
def test_broken_promises_are_found(
    change: Callable[[list[Event]], None], promise: str, consistent: Engine, events: list[Event]
) -> None:
    """What callers were told and PostgreSQL does not hold is named by the promise that it breaks."""
    change(events)
    assert promise in {violation.promise for violation in _check(consistent, events)}


def test_unfinished_job_is_found(consistent: Engine, events: list[Event]) -> None:
    """A job that has not ended when all had their time is a violation."""
    with consistent.begin() as connection:
        connection.execute(
            text("""INSERT INTO jobs (id, kind, owner, model_version, request_count, idempotency_key, payload_hash)
                    VALUES (gen_random_uuid(), 'bulk', 'o', 1, 1, 'k3', 'h')""")
        )
    events.append(_ask("k3", "bulk", [1]))
    assert "every accepted job ends" in {violation.promise for violation in _check(consistent, events)}


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ({"status": 500}, "callers see 202, or 503"),
        ({"status": 503, "retry_after": None}, "503 bears Retry-After"),
        ({"seconds": 7.0}, "an answer within 5 s"),
        ({"status": "ReadTimeout", "seconds": 8.0}, "never a hang"),
    ],
)
def test_indecent_answers_are_found(change: dict[str, Any], promise: str) -> None:
    """A 500, a 503 without advice, a late answer and a hang are violations; a late answer on a cut line is none."""
    decent = {"what": "answer", "status": 202, "retry_after": "1", "seconds": 0.1, "path": "/v1/predict", "key": "k",
              "fault": "f", "began_in": "f"}  # fmt: skip
    assert list(check_manners([decent], set())) == []
    assert promise in {violation.promise for violation in check_manners([decent | change], set())}
    assert list(check_manners([decent | {"seconds": 7.0}], {"f"})) == []
