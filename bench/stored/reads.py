"""How long people, programs and BI tools wait for what lies among a hundred million predictions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import psutil
from sqlalchemy import Connection, text

from api.http.cursors import make_cursor
from bench.check import WrongAnswer
from bench.stack import Service
from bench.stored.base import OFTEN
from bench.stored.cpu_clock import CpuClock
from bench.stored.figures import Figure, p99, time_calls
from bench.stored.fill import Stored
from shared.erasure.export import export_client
from shared.erasure.find import find_client
from shared.erasure.keys import ClientKey, read_source
from shared.installation import read_installation
from shared.pages.request_id import RequestId
from shared.postgres.engine import autocommit, transaction

_RUNS = 300
_NEWEST_ANSWERS = "ORDER BY created_at DESC LIMIT 100"
_NEWEST_TRACES = "ORDER BY answered_at DESC LIMIT 100"


def measure_reads(service: Service, postgres: psutil.Process, stored: Stored, clients: int) -> Iterator[Figure]:
    """One figure after the other."""
    reader = _Reader(service, postgres)
    old = random.Random(7).choices(stored.copies, k=_RUNS)
    ids = [f"{copy.first_batch + random.randrange(copy.batches)}-0" for copy in old]
    yield reader.sql("newest 100 answers, SQL", 20, f"SELECT * FROM predictq.prediction_outputs {_NEWEST_ANSWERS}")
    yield reader.sql("newest 100 traces, SQL", 20, f"SELECT * FROM predictq.prediction_trace {_NEWEST_TRACES}")
    yield reader.sql("an answer by its id, SQL", 20, "SELECT * FROM predictq.prediction(:id)", ids)
    yield reader.sql("a trace by its id, SQL", 20, "SELECT * FROM predictq.prediction_trace(:id)", ids)
    yield reader.http("a trace by its id, HTTP", 20, [f"/v1/predictions/{item}" for item in ids])
    yield reader.http("the newest 100 jobs that succeeded, HTTP", 20, ["/v1/jobs?status=succeeded&limit=100"])
    cursors = [make_cursor(_job_before(service, copy.at)) for copy in old[:50]]
    paths = [f"/v1/jobs?status=succeeded&limit=100&cursor={cursor}" for cursor in cursors]
    yield reader.http("100 older jobs that succeeded, HTTP", 20, paths)
    yield reader.http("the newest 100 jobs that failed, HTTP", 20, ["/v1/jobs?status=failed&limit=100"])
    jobs = random.Random(8).choices(stored.bulk, k=_RUNS)
    parts = [
        f"/v1/jobs/{copy.job}/results?cursor="
        f"{make_cursor(copy.job, RequestId(copy.first_batch + copy.batches // 2, 7_000))}"
        for copy in jobs
    ]
    yield reader.http("1,000 results in the midst of a job, HTTP", 20, parts)
    yield from _answers_of_clients(reader, service, clients)
    yield from _joins(reader, service, stored)


def _job_before(service: Service, at: Any) -> Any:
    query = text("SELECT j.id FROM predictq.jobs j WHERE j.id < predictq.first_uuid_of(:at) ORDER BY j.id DESC LIMIT 1")
    with service.engine.connect() as connection:
        return connection.execute(query, {"at": at}).scalar() or uuid4()


class _Reader:
    """Times statements and calls, with the CPU of those who answer them."""

    def __init__(self, service: Service, postgres: psutil.Process) -> None:
        self._service = service
        self._postgres = postgres

    def clock(self) -> CpuClock:
        """Of the gateway and the sessions that are open now."""
        return CpuClock([self._service.gateway, *self._postgres.children()])

    def sql(self, words: str, goal_ms: float, query: str, ids: Sequence[str] = ()) -> Figure:
        """A statement as a person sends it: planned anew each time."""
        left = [*ids, *ids]
        with autocommit(self._service.engine) as connection:
            times = time_calls(
                lambda: connection.execute(text(query), {"id": left.pop()} if left else {}).all(), _RUNS, self.clock()
            )
        return p99(words, times, goal_ms)

    def http(self, words: str, goal_ms: float, paths: Sequence[str], runs: int = _RUNS) -> Figure:
        """A call over one connection, from the first byte sent to the last received."""
        left = list(paths) * (runs // len(paths) + 6)
        for _ in range(4):  # each of the gateway's connections plans once
            self._get(left.pop())
        return p99(words, time_calls(lambda: self._get(left.pop()), runs, self.clock()), goal_ms)

    def _get(self, path: str) -> None:
        answer = self._service.client.get(path)
        if answer.status_code != HTTPStatus.OK:
            raise WrongAnswer(f"GET {path} was answered {answer.status_code}: {answer.text[:500]}")


def _answers_of_clients(reader: _Reader, service: Service, clients: int) -> Iterator[Figure]:
    with transaction(service.engine) as connection:
        source = read_source(connection, "clients")
        secret = read_installation(connection).hash_secret
    keys = [ClientKey(source, random.randrange(OFTEN + 1, clients)) for _ in range(60)]
    found: list[int] = []

    def find() -> None:
        with transaction(service.engine) as connection:
            found.append(sum(len(place.rows) for place in find_client(connection, keys[len(found)], secret)))

    yield p99("where one client's answers are", time_calls(find, 58, reader.clock()), 200, answers=sum(found) / 60)
    read: list[int] = []

    def export() -> None:
        read.append(len(export_client(service.engine, keys[len(read)])["predictions"]))

    times = time_calls(export, 58, reader.clock())
    if read != found:
        raise WrongAnswer("an export has not the answers that were found")
    yield p99("all answers of one client, with their features", times, 200, answers=sum(read) / 60)


def _joins(reader: _Reader, service: Service, stored: Stored) -> Iterator[Figure]:
    """With PostgreSQL's own settings, as a BI tool has them, and without parallel helpers."""
    statement = text("""
SELECT c.department, count(*), avg(t.probability) FROM predictq.prediction_trace t
JOIN predictq_data.clients c ON c.client_id = t.client_id::bigint WHERE t.job_id = :job GROUP BY 1
""")
    copy = stored.bulk[-1]
    goal = 2 * max(1.0, copy.rows / 1e6)
    for words, helpers in (("", 2), (", without parallel helpers", 0)):
        with autocommit(service.engine) as connection:
            connection.execute(text(f"SET max_parallel_workers_per_gather = {helpers}"))
            times = time_calls(lambda: connection.execute(statement, {"job": copy.job}).all(), 5, reader.clock())
            connection.execute(text("RESET max_parallel_workers_per_gather"))
        beside = {"rows": copy.rows, "quickest": min(times.wall), "slowest": max(times.wall), "CPU": min(times.cpu)}
        yield Figure(
            f"a join of a job's answers with their clients{words}", sorted(times.wall)[2], "s", goal, beside=beside
        )


def measure_running_jobs(service: Service, postgres: psutil.Process) -> Iterator[Figure]:
    """The list of a hundred running jobs of a thousand batches each, half of them answered."""
    with _running_jobs(service):
        reader = _Reader(service, postgres)
        yield reader.http("100 running jobs of 1,000 batches, HTTP", 60, ["/v1/jobs?status=running&limit=100"], 100)


@contextmanager
def _running_jobs(service: Service) -> Iterator[None]:
    with autocommit(service.engine) as connection:
        connection.execute(text("INSERT INTO predictq.pauses (queue, actor) VALUES ('bulk', 'bench')"))
        jobs = list(connection.execute(text(_RUNNING_JOBS)).scalars())
        for statement in _RUNNING_BATCHES:
            connection.execute(text(statement), {"jobs": jobs})
        for table in ("batch_outputs", "prediction_batches", "jobs"):
            connection.execute(text(f"ANALYZE predictq.{table}"))
    try:
        yield
    finally:
        with transaction(service.engine) as connection:
            _take_away(connection, jobs)


def _take_away(connection: Connection, jobs: Sequence[Any]) -> None:
    connection.execute(text("SET LOCAL predictq.upkeep = on"))
    for table, column in (("prediction_batches", "job_id"), ("batch_outputs", "job_id"), ("jobs", "id")):
        connection.execute(text(f"DELETE FROM predictq.{table} WHERE {column} = ANY (:jobs)"), {"jobs": jobs})
    connection.execute(text("DELETE FROM predictq.pauses"))


_RUNNING_JOBS = """
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, first_batch_id)
SELECT uuidv7(), 'bulk', 'bench', (SELECT max(id) FROM predictq.model_versions), 1000 * 10000,
       nextval('predictq.batch_ids') FROM generate_series(1, 100) RETURNING id
"""
# By turns, as jobs that are scored at the same time lie. The pages hold one answer each: lists do not open them.
_RUNNING_BATCHES = (
    """INSERT INTO predictq.batch_outputs (batch_id, job_id, model_version_id, fence, attempts, request_count,
                                           succeeded, failed, cancelled, claimed_at, threshold, worker, "values")
       SELECT nextval('predictq.batch_ids'), j.id, (SELECT max(id) FROM predictq.model_versions), 1, 1, 1, 1, 0, 0,
              clock_timestamp(), 0.5, 'bench', '{0.25}'
       FROM generate_series(1, 500) n, unnest(CAST(:jobs AS uuid[])) j (id) ORDER BY n""",
    """INSERT INTO predictq.prediction_batches (id, queue, job_id, owner, model_version_id, request_count)
       SELECT nextval('predictq.batch_ids'), 'bulk', j.id, 'bench', (SELECT max(id) FROM predictq.model_versions), 10000
       FROM generate_series(1, 500) n, unnest(CAST(:jobs AS uuid[])) j (id) ORDER BY n""",
)


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    """How long a call took, and what it gave."""
    began = time.perf_counter()
    answer = call()
    return time.perf_counter() - began, answer
