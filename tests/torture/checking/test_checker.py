"""The checker itself: consistent tables pass, and each way to break a promise is found."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import psycopg2
import pytest
from psycopg2.extensions import connection
from sqlalchemy import Engine, create_engine, make_url
from uuid_utils.compat import uuid7

from tests.models import TestModel, right_answer
from tests.support import add_model
from tests.torture import population
from tests.torture.checking.checker import ONE_JOB, compare
from tests.torture.checking.ledger import Event
from tests.torture.checking.violation import Violation
from tests.torture.manners import check_manners
from tests.torture.population import Features, initial

ONE, TWO, THREE, FOUR, FIVE = population.ORDINARY[:5]
SINGLE, BULK, PLANNED = str(uuid7()), str(uuid7()), str(uuid7())
_WHERE = {
    "age": population.STILL_AGE,
    "department": "Sales",
    "monthly_income": [population.income(n) for n in range(1300, 1316)],
}
_SELECTED = population.selected(_WHERE)
_CHANGED = Features(21, 7, "Research & Development", False)  # what client 1 became after it was answered


def _ask(key: str, kind: str, clients: list[int] | None, where: dict[str, Any] | None = None) -> Event:
    return {"what": "ask", "key": key, "kind": kind, "clients": clients, "features": None, "where": where}


def _answer(key: str, job: str) -> Event:
    return {"what": "answer", "key": key, "job": job, "status": 202, "path": "/v1/predict", "t": time.time() - 60}


@pytest.fixture
def events() -> list[Event]:
    """A single job on client 1, which changed later; a bulk job on 2, 3 and one that there is not; a selection."""
    asks = [
        _ask("k1", "single", [ONE]),
        _ask("k2", "bulk", [TWO, THREE, 4_000_000]),
        _ask("k3", "select", None, _WHERE),
    ]
    promised = [_answer("k1", SINGLE), _answer("k2", BULK), _answer("k3", PLANNED)]
    change = {"what": "change", "number": 1, "clients": [ONE], "features": [list(_CHANGED)], "sent": time.time() + 60}
    return [*asks, *promised, change, {"what": "changed", "number": 1, "committed": time.time() + 61}]


@pytest.fixture(scope="module")
def dsn(make_database: Callable[..., str]) -> str:
    """The same in PostgreSQL, answered as it should be."""
    engine = create_engine(make_database())
    dsn = _dsn(engine)
    add_model(engine)
    engine.dispose()
    population.fill(dsn)
    _answer_all(dsn)
    return dsn


@pytest.fixture
def session(dsn: str) -> Iterator[connection]:
    """A session whose changes only it sees, and which are taken back in the end."""
    session: connection = psycopg2.connect(dsn)
    with contextlib.closing(session):
        yield session


def _answer_all(dsn: str) -> None:
    session: connection = psycopg2.connect(dsn)
    with session, session.cursor() as cursor:
        cursor.execute(
            f"UPDATE predictq_data.clients SET monthly_income = 7, over_time = false WHERE client_id = {ONE}"
        )
        cursor.execute("SELECT nextval('predictq.batch_ids') FROM generate_series(1, 5)")
        for job, key in ((SINGLE, "k1"), (BULK, "k2"), (PLANNED, "k3")):
            cursor.execute(
                "INSERT INTO predictq.idempotency_keys (owner, key, job_id) VALUES ('o', %s, %s)", [key, job]
            )
        cursor.execute(
            """INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count)
               VALUES (%s, 'single', 'o', 1, 1, 0, 1)""",
            [SINGLE],
        )
        for job, first, count, failed in ((BULK, 2, 3, 1), (PLANNED, 3, len(_SELECTED), 0)):
            cursor.execute(
                """INSERT INTO predictq.jobs (id, kind, owner, model_version_id, first_batch_id, request_count, status,
                                              finished_at, succeeded, failed, cancelled)
                   VALUES (%s, 'bulk', 'o', 1, %s, %s, 'succeeded', now(), %s, %s, 0)""",
                [job, first, count, count - failed, failed],
            )
        _store(cursor, 1, [ONE], job=None)
        _store(cursor, 2, [TWO, THREE, 4_000_000], job=BULK)
        _store(cursor, 3, _SELECTED[:5], job=PLANNED)
        _store(cursor, 4, _SELECTED[5:], job=PLANNED)
    session.close()


def _store(cursor: Any, batch: int, clients: Sequence[int], job: str | None) -> None:
    """A page of requests and a page of right answers."""
    features = [initial(client) for client in clients]
    lines = [json.dumps(seen or [None] * 4) + "\n" for seen in features]
    errors = [row for row, seen in enumerate(features) if seen is None] or None
    values: dict[str, Any] = {
        "batch": batch,
        "count": len(clients),
        "job": job,
        "singles": None if job else [SINGLE],
        "clients": list(clients),
        "failed": len(errors or ()),
        "values": [None if seen is None else right_answer(*seen) for seen in features],
        "rows": errors,
        "codes": errors and ["unknown_client"],
        "details": errors and ["none"],
        "features": b"\x01\x01" + "".join(lines).encode(),
    }
    cursor.execute(_REQUESTS, values)
    cursor.execute(_ANSWERS, values)
    for client in clients:
        cursor.execute("INSERT INTO predictq.key_hashes (hash, batch_id) VALUES (%s, %s)", [client, batch])


_REQUESTS = """
INSERT INTO predictq.batch_requests (batch_id, request_count, job_id, job_ids, keys_int8)
VALUES (%(batch)s, %(count)s, %(job)s, %(singles)s::uuid[], %(clients)s)
"""
_ANSWERS = """
INSERT INTO predictq.batch_outputs (
    batch_id, job_id, model_version_id, fence, attempts, request_count, succeeded, failed, cancelled, claimed_at,
    created_at, threshold, worker, "values", error_rows, error_codes, error_details, features)
VALUES (%(batch)s, %(job)s, 1, 2, 2, %(count)s, %(count)s - %(failed)s, %(failed)s, 0, now() - interval '2 h',
        now() - interval '1 h', 0.5, 'w', %(values)s, %(rows)s, %(codes)s, %(details)s, %(features)s)
"""


def _dsn(engine: Engine) -> str:
    url = make_url(engine.url)
    return f"host={url.host} port={url.port} user={url.username} password={url.password} dbname={url.database}"


def _check(session: connection, events: list[Event]) -> list[Violation]:
    return compare(events, session, {1: _estimator()})


@cache
def _estimator() -> Path:
    """A file of the estimator that has answered."""
    file = Path(tempfile.mkdtemp()) / "estimator.joblib"
    joblib.dump(TestModel(), file)
    return file


def test_consistent_tables_pass(session: connection, events: list[Event]) -> None:
    """Right answers, one of them for a client that has changed since, are no violation."""
    assert len(_SELECTED) > 10
    assert _check(session, events) == []


_TRACE = "the trace shows the state that was scored"
_RIGHT = "each answer is the estimator's for a state that its client had"
_OUTPUTS = "UPDATE predictq.batch_outputs SET"
_BROKEN_TABLES = {
    "DELETE FROM predictq.batch_outputs WHERE batch_id = 3": "each row has one answer or one stated error",
    f'{_OUTPUTS} "values"[2] = 0.123 WHERE batch_id = 2': _RIGHT,
    f'{_OUTPUTS} "values"[2] = NULL WHERE batch_id = 2': "each row has one answer or one stated error",
    f"{_OUTPUTS} error_codes = '{{model_failed}}' WHERE batch_id = 2": _RIGHT,
    f"{_OUTPUTS} features = '\\x0101'::bytea || convert_to('[21, 7, \"Research & Development\", false]\n', 'UTF8') "
    "WHERE batch_id = 1": _TRACE,
    f"{_OUTPUTS} features = '\\x0109' WHERE batch_id = 1": _TRACE,
    f"{_OUTPUTS} succeeded = 3, failed = 0 WHERE batch_id = 2": "accepted = succeeded + failed + cancelled + in flight",
    f"{_OUTPUTS} cancelled_rows = '{{0}}' WHERE batch_id = 1": "a cancelled row has no answer",
    "UPDATE predictq.jobs SET status = 'cancelled', cancelled_at = now(), finished_at = now() WHERE kind = 'single'": (
        "a cancelled row has no answer"
    ),
    "UPDATE predictq.jobs SET status = 'failed', finished_at = now() WHERE batch_id = 1": "a job ends as its rows do",
    "UPDATE predictq.jobs SET succeeded = 3, failed = 0 WHERE first_batch_id = 2": (
        "accepted = succeeded + failed + cancelled + in flight"
    ),
    "ALTER TABLE predictq.batch_outputs DROP CONSTRAINT batch_outputs_pkey; "
    "ALTER TABLE predictq.batch_outputs_0 DROP CONSTRAINT IF EXISTS batch_outputs_0_pkey; "
    "INSERT INTO predictq.batch_outputs SELECT * FROM predictq.batch_outputs WHERE batch_id = 2": (
        "one page of answers per batch"
    ),
    "INSERT INTO predictq.prediction_batches (id, queue, job_id, owner, model_version_id, request_count, status, "
    f"lease_until, fence, worker) VALUES (2, 'bulk', '{BULK}', 'o', 1, 3, 'running', now(), 1, 'w')": (
        "only a batch that has ended has answers"
    ),
    "INSERT INTO predictq.batch_outputs (batch_id, model_version_id, fence, attempts, request_count, succeeded, "
    "failed, cancelled) VALUES (77, 1, 0, 0, 1, 0, 0, 1)": "nothing unrequested appears",
    f"UPDATE predictq.batch_requests SET keys_int8[2] = {FOUR} WHERE batch_id = 2": "the job holds what was asked",
    "UPDATE predictq.batch_requests SET job_ids = ARRAY[gen_random_uuid()] WHERE batch_id = 1": (
        "nothing unrequested appears"
    ),
    "UPDATE predictq.batch_requests SET keys_int8[2] = keys_int8[1] WHERE batch_id = 3": "no key is planned twice",
    f"UPDATE predictq.batch_requests SET keys_int8[2] = {population.RAISES} WHERE batch_id = 3": "no key is lost",
    "UPDATE predictq.idempotency_keys SET key = 'stranger' WHERE key = 'k1'": "nothing unrequested appears",
    f"DELETE FROM predictq.key_hashes WHERE batch_id = 2 AND hash = {THREE}": "a client's answers are found",
    f"UPDATE predictq_data.clients SET monthly_income = 1 WHERE client_id = {FIVE}": "nothing of the user's is changed",
    f"DELETE FROM predictq_data.clients WHERE client_id = {FIVE}": "nothing of the user's is changed",
    "CREATE OR REPLACE VIEW predictq.prediction_requests AS SELECT request_id, job_id, single_job_id, client_id, "
    "features, created_at, batch_id, row_number FROM predictq.prediction_trace t "
    "CROSS JOIN LATERAL (SELECT NULL::text, now()) f "
    "(features, created_at) WHERE row_number > 0": "the views show what is stored",
}


@pytest.mark.parametrize(("statement", "promise"), _BROKEN_TABLES.items())
def test_broken_tables_are_found(statement: str, promise: str, session: connection, events: list[Event]) -> None:
    """Whatever is missing, wrong or too much in PostgreSQL is named by the promise that it breaks."""
    with session.cursor() as cursor:
        cursor.execute("SET LOCAL predictq.upkeep = on")
        cursor.execute(
            "SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'c' AND conparentid = 0 "
            "AND conrelid IN (SELECT relid FROM pg_partition_tree('predictq.batch_outputs') WHERE level = 0)"
        )
        for table, constraint in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        cursor.execute(statement)
    assert promise in {violation.promise for violation in _check(session, events)}


def _lost(events: list[Event]) -> None:
    events += [_ask("k4", "single", [TWO]), _answer("k4", str(uuid7()))]


def _doubled(events: list[Event]) -> None:
    events += [_ask("k4", "single", [ONE]), _answer("k4", SINGLE)]


def _led_elsewhere(events: list[Event]) -> None:
    events.append(_answer("k1", BULK))


def _forgotten(events: list[Event]) -> None:
    late = {"what": "answer", "key": "k3", "status": 422, "path": "/v1/jobs", "seconds": 0.1, "t": time.time()}
    events.append(late)


def _retold(events: list[Event]) -> None:
    events.append({"what": "told", "job": SINGLE, "status": "failed"})


def _told_otherwise(events: list[Event]) -> None:
    events.append({"what": "told", "job": SINGLE, "status": "succeeded", "result": {"probability": 0.25}})


def _refused(events: list[Event]) -> None:
    refusal = {"what": "answer", "key": "k1", "status": 404, "path": "/v1/predict", "seconds": 0.1, "t": time.time()}
    events.append(refusal)


def _asked_after_it_was_read(events: list[Event]) -> None:
    next(event for event in events if event["what"] == "ask")["t"] = time.time()


def _told_before_it_was_read(events: list[Event]) -> None:
    told = {"result": {"probability": right_answer(*(initial(ONE) or ()))}, "t": time.time() - 3 * 3600}
    events.append({"what": "told", "job": SINGLE, "status": "succeeded", **told})


def _changed_earlier(events: list[Event], hours: float) -> float:
    """Client 1 changed so long ago; returns when."""
    committed = time.time() - hours * 3600
    next(event for event in events if event["what"] == "change")["sent"] = committed - 1
    next(event for event in events if event["what"] == "changed")["committed"] = committed
    return committed


def _read_before_the_claim(events: list[Event]) -> None:
    events.append({"what": "claim", "batch": 1, "fence": 2, "not_before": _changed_earlier(events, 1.5) + 1})


def _read_too_early(events: list[Event]) -> None:
    _changed_earlier(events, 3)


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (_lost, "a 202 means the job is in PostgreSQL"),
        (_doubled, ONE_JOB),
        (_led_elsewhere, ONE_JOB),
        (_forgotten, ONE_JOB),
        (_retold, "an end is final"),
        (_read_before_the_claim, "each page is of the claim that won"),
        (_read_too_early, _TRACE),
        (_read_too_early, _RIGHT),
        (_asked_after_it_was_read, _RIGHT),
        (_told_before_it_was_read, _RIGHT),
        (_told_otherwise, "what callers are told is what is stored"),
        (_refused, "only an absent client is unknown"),
    ],
)
def test_broken_promises_are_found(
    change: Callable[[list[Event]], None], promise: str, session: connection, events: list[Event]
) -> None:
    """What was told or read, and is not what PostgreSQL holds, is named by the promise that it breaks."""
    change(events)
    assert promise in {violation.promise for violation in _check(session, events)}


def test_a_change_that_failed_may_have_been_made(session: connection, events: list[Event]) -> None:
    """Where a change's commit was never confirmed, the client may be read either way."""
    del events[-1]
    assert _check(session, events) == []


_ERASED = f"""
UPDATE predictq.batch_requests SET keys_int8[1] = NULL WHERE batch_id = 2;
DELETE FROM predictq.key_hashes WHERE batch_id = 2 AND hash = {TWO};
UPDATE predictq.batch_outputs
SET "values"[1] = NULL, erased_rows = '{{0}}', error_rows = '{{0,2}}', error_codes = '{{erased,unknown_client}}',
    error_details = '{{gone,none}}', features = '\\x0101'::bytea || convert_to(
        '[null,null,null,null]' || chr(10) || split_part(convert_from(substr(features, 3), 'UTF8'), chr(10), 2)
        || chr(10) || '[null,null,null,null]' || chr(10), 'UTF8')
WHERE batch_id = 2;
UPDATE predictq.idempotency_keys SET key = 'erased-' || encode(sha256(hash_secret || 'k2'), 'hex')
FROM predictq.installation WHERE key = 'k2'
"""


@pytest.mark.parametrize(
    "forgotten",
    [
        "",
        'UPDATE predictq.batch_outputs SET "values"[1] = 0.5 WHERE batch_id = 2',
        f"UPDATE predictq.idempotency_keys SET key = 'k2' WHERE job_id = '{BULK}'",
    ],
)
def test_what_is_left_of_an_erased_client_is_found(forgotten: str, session: connection, events: list[Event]) -> None:
    """A row that went blank is no violation; a client who is named still, an answer or a plain key of hers, is one."""
    events.append({"what": "erased", "client": TWO})
    assert "an erased client is nowhere" in {violation.promise for violation in _check(session, events)}
    with session.cursor() as cursor:
        cursor.execute("SET LOCAL predictq.upkeep = on")
        cursor.execute(_ERASED)
        if forgotten:
            cursor.execute(forgotten)
    found = {violation.promise for violation in _check(session, events)}
    assert ("an erased client is nowhere" in found) == bool(forgotten)
    assert forgotten or not found


def test_unfinished_job_is_found(session: connection, events: list[Event]) -> None:
    """A job that has not ended when all had their time is a violation."""
    with session.cursor() as cursor:
        cursor.execute("UPDATE predictq.jobs SET status = NULL, finished_at = NULL WHERE first_batch_id = 3")
    assert "every accepted job ends" in {violation.promise for violation in _check(session, events)}


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


@pytest.mark.parametrize(("client", "is_decent"), [(5, True), (6, False)])
def test_a_key_of_somebody_erased_is_gone(client: int, is_decent: bool) -> None:
    """And nobody else's is."""
    answer = {"what": "answer", "status": 410, "retry_after": None, "seconds": 0.1, "path": "/v1/predict", "key": "k",
              "fault": "f", "began_in": "f"}  # fmt: skip
    events = [{"what": "ask", "key": "k", "clients": [client]}, answer, {"what": "erased", "client": 5}]
    assert [found.promise for found in check_manners(events, set())] == (
        [] if is_decent else ["callers see 202, or 503"]
    )
