"""The comparison: what the ledger says was asked and promised, against what PostgreSQL holds.

It shares no code with the service. Tables are read by plain SQL, right answers are worked out from the features
that `clients` and `clients_history` hold at the version that each answer names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from tests.models import right_answer
from tests.torture import models
from tests.torture.ledger import Event

_PER_BATCH = 100_000  # request ids of a batch; a fact of the stored data
_POISON_ERRORS = {
    models.RAISES: "model_failed",
    models.KILLS: "model_failed",
    models.HANGS: "model_failed",
    models.NAN: "invalid_probability",
}


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """A broken promise: which one, and what shows it."""

    promise: str
    detail: str


@dataclass(frozen=True, slots=True)
class Promises:
    """What the ledger says: every ask by its key, every job promised and the key it was promised for."""

    asks: Mapping[str, Event]
    jobs: Mapping[str, str]  # job id → key
    told: Mapping[str, Event]  # job id → the last end of it that a caller was told

    @classmethod
    def of(cls, events: list[Event]) -> Promises:
        """Read them off the events."""
        asks = {event["key"]: event for event in events if event["what"] == "ask"}
        jobs = {
            event["job"]: event["key"] for event in events if event["what"] == "answer" and "job" in event
            and event["key"] in asks
        }  # fmt: skip
        return cls(asks, jobs, {event["job"]: event for event in events if event["what"] == "told"})


def check(events: list[Event], dsn: str, offsets: Mapping[int, float]) -> list[Violation]:
    """Every broken promise, once all work has had its time. `offsets`: what each model version adds to its answers."""
    promises = Promises.of(events)
    session: connection = psycopg2.connect(dsn)
    with contextlib.closing(session):
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        found = [*_check_jobs(session, promises), *_check_batches(session)]
        found += _check_outputs(session, promises, offsets)
    return sorted(found)


def _rows(session: connection, query: str) -> Iterator[dict[str, Any]]:
    with session.cursor("rows") as cursor:  # named: on the server, so that memory stays flat
        cursor.itersize = 20_000
        cursor.execute(query)
        for row in cursor:
            yield dict(zip([column.name for column in cursor.description or ()], row, strict=True))


def _check_jobs(session: connection, promises: Promises) -> Iterator[Violation]:
    stored = {str(job["job_id"]): job for job in _rows(session, _JOBS)}
    for job_id, key in promises.jobs.items():
        if job_id not in stored:
            yield Violation("a 202 means the job is in PostgreSQL", f"job {job_id} was promised for {key}: not there")
        elif stored[job_id]["idempotency_key"] != key:
            yield Violation("one job per Idempotency-Key", f"job {job_id} was promised for {key}, is of another key")
    for job_id, job in stored.items():
        ask = promises.asks.get(job["idempotency_key"])
        if ask is None:
            yield Violation("nothing unrequested appears", f"job {job_id} has a key that nobody sent")
            continue
        if job["status"] not in ("succeeded", "failed", "cancelled"):
            yield Violation("every accepted job ends", f"{ask['kind']} job {job_id} is {job['status']}")
        wanted = [None] if ask["kind"] == "raw" else ask["clients"]
        if job["requests"] != len(wanted) or job["request_count"] != len(wanted):
            yield Violation("the job holds what was asked", f"job {job_id}: {job['requests']} of {len(wanted)} rows")
    for job_id, told in promises.told.items():
        if job_id in stored and stored[job_id]["status"] != told["status"]:
            yield Violation("an end is final", f"{job_id} was {told['status']}, is {stored[job_id]['status']}")


_JOBS = """
SELECT j.id AS job_id, j.idempotency_key, j.request_count, count(r.request_id) AS requests,
       (SELECT status FROM job_status s WHERE s.job_id = j.id) AS status
FROM jobs j LEFT JOIN prediction_requests r ON r.job_id = j.id GROUP BY j.id
"""


def _check_batches(session: connection) -> Iterator[Violation]:
    for batch in _rows(session, _BATCHES):
        name = f"batch {batch['id']} ({batch['status']})"
        if batch["status"] == "finished":
            expected = (batch["good"], batch["bad"], batch["request_count"] - batch["good"] - batch["bad"])
            if (batch["succeeded"], batch["failed"], batch["cancelled"]) != expected:
                yield Violation("accepted = succeeded + failed + cancelled + in flight", f"{name}: {expected} expected")
        if batch["strange_fences"]:
            yield Violation("each output carries the winning fence", f"{name}: {batch['strange_fences']} do not")
        if batch["good"] + batch["bad"] and batch["status"] != "finished":
            yield Violation("only a finished batch has outputs", name)


_BATCHES = f"""
SELECT b.*, count(o.request_id) FILTER (WHERE o.error_code IS NULL) AS good,
       count(o.request_id) FILTER (WHERE o.error_code IS NOT NULL) AS bad,
       count(o.request_id) FILTER (WHERE o.fence <> b.fence) AS strange_fences
FROM prediction_batches b LEFT JOIN prediction_outputs o ON o.request_id / {_PER_BATCH} = b.id GROUP BY b.id
"""


def _check_outputs(session: connection, promises: Promises, offsets: Mapping[int, float]) -> Iterator[Violation]:
    rows = _rows(session, _ANSWERS)
    for job_id, group in groupby(rows, key=lambda row: row["job_id"]):
        ask = promises.asks.get(next_key) if (first := next(group, None)) and (next_key := first["key"]) else None
        if first is None or first["request_id"] is None:
            yield Violation("nothing unrequested appears", f"an output without a request: {first}")
            continue
        for number, row in enumerate([first, *group]):
            yield from _check_row(row, job_id, number, ask, offsets)


# Requests in submission order, with their output and the client as it was at the version that the output names.
_ANSWERS = """
SELECT r.job_id, j.idempotency_key AS key, j.cancelled_at, r.request_id, r.client_id, r.features,
       o.request_id AS output, o.probability, o.label, o.threshold, o.error_code, o.model_version,
       j.model_version AS pinned_version,
       o.client_version, v.age, v.monthly_income, v.department, v.over_time, v.client_id AS known
FROM prediction_outputs o FULL JOIN prediction_requests r USING (request_id)
LEFT JOIN jobs j ON j.id = r.job_id
LEFT JOIN (
    SELECT client_id, version, age, monthly_income, department, over_time FROM clients
    UNION ALL SELECT client_id, version, age, monthly_income, department, over_time FROM clients_history
) v ON v.client_id = r.client_id AND v.version = o.client_version
ORDER BY r.job_id, r.request_id
"""


def _check_row(
    row: dict[str, Any], job_id: object, number: int, ask: Event | None, offsets: Mapping[int, float]
) -> Iterator[Violation]:
    name = f"request {row['request_id']} of job {job_id}"
    if ask is not None and not _is_asked(row, number, ask):
        yield Violation("the job holds what was asked", f"{name}: row {number} is of client {row['client_id']}")
    if row["output"] is None:
        if row["cancelled_at"] is None:
            yield Violation("each row has one answer or one stated error", f"{name} has neither")
        return
    if row["model_version"] != row["pinned_version"]:
        yield Violation("the pinned model answers", f"{name}: {row['model_version']}")
    features = row["features"] or (row if row["known"] is not None else None)
    if features is None:
        expected: float | str = "unknown_client"
    else:
        age = features["age"]
        expected = _POISON_ERRORS.get(age) or offsets[row["model_version"]] + right_answer(
            age, features["monthly_income"], features["department"], features["over_time"]
        )
    if not _agrees(row, expected):
        given = row["error_code"] or row["probability"]
        yield Violation("each answer is right for the version it names", f"{name}: {given}, expected {expected}")


def _is_asked(row: dict[str, Any], number: int, ask: Event) -> bool:
    if ask["kind"] == "raw":
        return bool(row["client_id"] is None and row["features"] == ask["features"])
    return bool(number < len(ask["clients"]) and row["client_id"] == ask["clients"][number])


def _agrees(row: dict[str, Any], expected: float | str) -> bool:
    if isinstance(expected, str):
        return bool(row["error_code"] == expected and row["probability"] is None)
    if row["error_code"] is not None or abs(row["probability"] - expected) > 1e-9:
        return False
    return bool(row["label"] == int(row["probability"] >= row["threshold"]))
