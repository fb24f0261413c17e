"""The comparison: what the ledger says was asked and promised, against what PostgreSQL holds.

It shares no code with the service. Tables are read by plain SQL, pages by a reader of its own. Right answers come from
the estimators themselves, called in another process on what the clients really were: that is known from the ledger,
where every change of a client stands with its times.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection

from tests.torture import stored
from tests.torture.checking.histories import Histories
from tests.torture.checking.ledger import Event
from tests.torture.checking.oracle import Oracle
from tests.torture.checking.page_checks import check_page
from tests.torture.checking.violation import Violation
from tests.torture.context import CLOCK_SECONDS, Context
from tests.torture.population import Features, everybody, selected
from tests.torture.stored import Job

ONE_JOB = "one job per Idempotency-Key"
_ENDS = ("succeeded", "failed", "cancelled")
_REFUSED = (404, 422)  # of a call that was not understood, or found nothing


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


def check(events: list[Event], dsn: str, files: Mapping[int, Path]) -> list[Violation]:
    """Every broken promise, once all work has had its time. `files`: the estimator of each model version."""
    session: connection = psycopg2.connect(dsn)
    with contextlib.closing(session):
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)
        return compare(events, session, files)


def compare(events: list[Event], session: connection, files: Mapping[int, Path]) -> list[Violation]:
    """The same, as this session sees PostgreSQL."""
    promises, histories = Promises.of(events), Histories(events)
    erased = _erased(events)
    hidden = _hidden_keys(promises, erased, stored.hash_secret(session))
    jobs, found = _under_their_keys(stored.jobs(session), hidden)
    context = Context(jobs, histories, Oracle(files), promises.asks, promises.told, _claims(events), erased)
    found += [*_check_promised(jobs, promises), *_check_keys(events, jobs, promises)]
    found += _check_refused(events, promises, histories)
    for page in stored.pages(session):
        found += check_page(page, context)
    for job in jobs.values():
        found += _check_job(job, promises, context)
    return sorted([*found, *_check_views(session, context), *_check_clients(session, histories)])


def _claims(events: list[Event]) -> dict[tuple[int, int], float]:
    """When a claim had not been made yet, by batch and fence, where a fault looked."""
    return {(event["batch"], event["fence"]): event["not_before"] for event in events if event["what"] == "claim"}


def _erased(events: list[Event]) -> frozenset[int]:
    """The clients whose erasure was told to be done."""
    return frozenset(event["client"] for event in events if event["what"] == "erased")


def _hidden_keys(promises: Promises, erased: frozenset[int], secret: bytes) -> dict[str, str]:
    """What the keys of calls that named an erased client are stored as: by that, the key as it was sent."""
    return {
        f"erased-{hashlib.sha256(secret + key.encode()).hexdigest()}": key
        for key, ask in promises.asks.items()
        if not erased.isdisjoint(ask.get("clients") or ())
    }


def _under_their_keys(jobs: Mapping[str, Job], hidden: Mapping[str, str]) -> tuple[dict[str, Job], list[Violation]]:
    """The jobs under the keys that were sent; and which of them should be hidden and are not."""
    found = [
        Violation("an erased client is nowhere", f"job {job.id} has its Idempotency-Key in plain text")
        for job in jobs.values()
        if job.key in hidden.values()
    ]
    return {job.id: replace(job, key=hidden.get(job.key or "", job.key)) for job in jobs.values()}, found


def _check_promised(jobs: Mapping[str, Job], promises: Promises) -> Iterator[Violation]:
    for job_id, key in promises.jobs.items():
        if job_id not in jobs:
            yield Violation("a 202 means the job is in PostgreSQL", f"job {job_id} was promised for {key}: not there")
        elif jobs[job_id].key != key:
            yield Violation(ONE_JOB, f"job {job_id} was promised for {key}, is of another key")
    for job_id, told in promises.told.items():
        if job_id in jobs and jobs[job_id].status != told["status"]:
            yield Violation("an end is final", f"{job_id} was {told['status']}, is {jobs[job_id].status}")


def _check_keys(events: list[Event], jobs: Mapping[str, Job], promises: Promises) -> Iterator[Violation]:
    """Whoever repeats a call under its key is led to the same job; nobody is told afterwards that it cannot be."""
    made = [*promises.jobs.items(), *((job.id, job.key) for job in jobs.values() if job.key is not None)]
    by_key: dict[str, set[str]] = {}
    for job_id, key in made:
        by_key.setdefault(key, set()).add(job_id)
    for key, job_ids in by_key.items():
        if len(job_ids) > 1:
            yield Violation(ONE_JOB, f"{key} has led to {len(job_ids)} jobs: {', '.join(sorted(job_ids))}")
    promised: dict[str, float] = {}
    for event in events:
        if event["what"] != "answer" or event["key"] not in promises.asks:
            continue
        if "job" in event:
            promised.setdefault(event["key"], event["t"])
        elif event["status"] in _REFUSED and promised.get(event["key"], math.inf) < event["t"] - event["seconds"]:
            yield Violation(ONE_JOB, f"{event['key']} had led to a job, and was {event['status']} when it was repeated")


def _check_refused(events: list[Event], promises: Promises, histories: Histories) -> Iterator[Violation]:
    """Who is told at once that there is no such client asked at a moment at which there was none."""
    for event in events:
        if event["what"] != "answer" or event["status"] != 404 or event["path"] != "/v1/predict":
            continue
        (client,) = promises.asks[event["key"]]["clients"]
        had = histories.within(client, (event["t"] - event["seconds"] - CLOCK_SECONDS, event["t"] + CLOCK_SECONDS))
        if not any(version.features is None for version in had):
            yield Violation("only an absent client is unknown", f"client {client}: 404, and it had {had}")


def _check_job(job: Job, promises: Promises, context: Context) -> Iterator[Violation]:
    ask = promises.asks.get(job.key or "")
    if ask is None:
        yield Violation("nothing unrequested appears", f"job {job.id} has a key that nobody sent: {job.key}")
        return
    if job.status not in _ENDS:
        yield Violation("every accepted job ends", f"{ask['kind']} job {job.id} is {job.status}")
        return
    asked = context.asked.get(job.id, [])
    yield from _check_rows(job, ask, asked, context.erased)
    counts = context.counts.get(job.id, (0, 0, 0))
    if job.kind == "bulk" and (job.counts != counts or job.request_count != sum(counts)):
        words = f"job {job.id} says {job.counts} of {job.request_count}, its pages {counts}"
        yield Violation("accepted = succeeded + failed + cancelled + in flight", words)
    if any(counts) and job.status != _status(job, counts):
        promise = "a cancelled row has no answer" if job.status == "cancelled" else "a job ends as its rows do"
        yield Violation(promise, f"{job.kind} job {job.id} is {job.status}, its rows came out as {counts}")


def _status(job: Job, counts: tuple[int, int, int]) -> str:
    """What a job that has ended must be called."""
    succeeded, failed, cancelled = counts
    if cancelled or (job.kind == "bulk" and job.cancelled_at is not None):
        return "cancelled"
    return "failed" if job.error is not None or (failed and not succeeded) else "succeeded"


def _check_rows(job: Job, ask: Event, asked: list[object], erased: frozenset[int]) -> Iterator[Violation]:
    """Whether the rows are those that were asked for, in their order; of a selection, each key once and in order."""
    if ask["kind"] != "select":
        wanted = [ask["features"]] if ask["kind"] == "raw" else ask["clients"]
        if ask["clients"]:
            wanted = [None if client in erased else client for client in wanted]
        if asked != wanted:
            words = f"job {job.id}: {len(asked)} of {len(wanted)} rows, or others"
            yield Violation("the job holds what was asked", words)
        return
    wanted = selected(ask["where"])
    if len(set(asked)) != len(asked):
        yield Violation("no key is planned twice", f"job {job.id}: {len(asked)} rows of {len(set(asked))} clients")
    stopped = job.status == "cancelled" or job.error is not None
    if asked != (wanted[: len(asked)] if stopped else wanted):
        lost = len(set(wanted) - set(asked))
        yield Violation("no key is lost", f"job {job.id} ({job.status}): {len(asked)} rows, {lost} clients lost")


def _check_views(session: connection, context: Context) -> Iterator[Violation]:
    """The views show people what the pages hold."""
    (shown,) = stored.rows(session, _SHOWN)
    if (shown["requests"], shown["answers"], shown["errors"]) != (context.requests, *context.answers):
        words = f"{tuple(shown.values())} shown, {(context.requests, *context.answers)} stored"
        yield Violation("the views show what is stored", words)
    for row in stored.rows(session, _LABELS):
        if row["label"] != str(int(row["probability"] >= row["threshold"])):
            yield Violation("each label follows from its threshold", f"{row['request_id']}: {row['label']}")


_SHOWN = """
SELECT (SELECT count(*) FROM predictq.prediction_requests) AS requests,
       count(*) FILTER (WHERE probability IS NOT NULL) AS answers,
       count(*) FILTER (WHERE error_code IS NOT NULL) AS errors
FROM predictq.prediction_outputs
"""
_LABELS = """
SELECT request_id, label, probability, threshold FROM predictq.prediction_outputs
WHERE probability IS NOT NULL AND row_number < 50 AND label IS DISTINCT FROM (probability >= threshold)::int::text
LIMIT 5
"""


def _check_clients(session: connection, histories: Histories) -> Iterator[Violation]:
    """The user's table is what the user made of it: predictq reads and changes nothing."""
    query = "SELECT client_id, age, monthly_income, department, over_time FROM predictq_data.clients"
    now: dict[int, Features | None] = {
        client: Features(*features) for client, *features in (row.values() for row in stored.rows(session, query))
    }
    for client in {*everybody(), *now}:
        if now.get(client) not in histories.newest(client):
            yield Violation("nothing of the user's is changed", f"client {client} is {now.get(client)}")
