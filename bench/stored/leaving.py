"""What takes stored predictions away: retention, erasure and compaction, with single predictions beside them."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from typing import Any

from sqlalchemy import text

from bench.check import WrongAnswer
from bench.load import paced, post, run
from bench.stack import Service
from bench.stored.base import OFTEN
from bench.stored.figures import Figure, Times, p99
from bench.stored.fill import Stored
from bench.stored.reads import seconds_of
from shared.erasure.compact import Compacted, compact
from shared.erasure.keys import ClientKey, read_source
from shared.erasure.records import request_erasure
from shared.postgres.engine import autocommit, transaction
from shared.retention.rules.policy import set_floor, set_period
from worker.erasure.runner import Eraser
from worker.upkeep.retention import carry_out

_RATE = 50.0  # single predictions per second beside
_PIECE_SECONDS = 2.0


@dataclass(slots=True)
class Beside:
    """How long single predictions took, answer included, while something else ran."""

    seconds: list[float] = field(default_factory=list)


@contextmanager
def singles_beside(service: Service, clients: int) -> Iterator[Beside]:
    """Single predictions at a steady rate until the block ends, from a process of their own."""
    context = multiprocessing.get_context("spawn")
    begun, stop = context.Event(), context.Event()
    answer, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(service.port, service.key, clients, begun, stop, sender))
    process.start()
    sender.close()  # so that its end is seen here
    beside = Beside()
    try:
        if not begun.wait(60):
            raise WrongAnswer("the load did not begin")
        yield beside
    finally:
        stop.set()
        try:
            beside.seconds.extend(answer.recv())
        except EOFError:
            raise WrongAnswer("single predictions failed: their process says why above") from None
        finally:
            process.join()


def _send(port: int, key: str, clients: int, begun: Event, stop: Event, answer: Any) -> None:
    seconds: list[float] = []
    while not stop.is_set():
        bodies = (b'{"client_id":%d}' % random.randrange(OFTEN + 1, clients) for _ in range(1000))
        requests = [post("/v1/predict", body, port=port, key=key, prefer="wait=10") for body in bodies]
        load = run(paced(port, requests, rate=_RATE, seconds=_PIECE_SECONDS, connections=32))
        if load.statuses[200] != len(load.latencies):
            raise WrongAnswer(f"single predictions were answered: {dict(load.statuses)}")
        if begun.is_set():  # the first piece warms up
            seconds += load.latencies
        begun.set()
    answer.send(seconds)


def measure_alone(service: Service, clients: int) -> Iterator[Figure]:
    """Single predictions with nothing beside them: what the machine gives."""
    with singles_beside(service, clients) as beside:
        threading.Event().wait(10)
    yield p99("single predictions, nothing beside them", Times(beside.seconds), 100)


def measure_erasure(service: Service, clients: int) -> Iterator[Figure]:
    """The erasure of a person whom jobs name again and again, and the compaction after it."""
    with transaction(service.engine) as connection:
        key = ClientKey(read_source(connection, "clients"), OFTEN)
        asked = request_erasure(connection, key, reason="bench", actor="bench")
    with singles_beside(service, clients) as beside:
        seconds, is_over = seconds_of(lambda: Eraser(service.engine, None).erase(asked.id))
    if not is_over:
        raise WrongAnswer("the erasure did not come to its end")
    query = text("SELECT pages, answers FROM predictq.erasures WHERE id = :id")
    with service.engine.connect() as connection:
        pages, answers = connection.execute(query, {"id": str(asked.id)}).one()
    yield Figure("erasure of one person", seconds, "s", 60, beside={"pages": pages, "answers": answers})
    yield p99("single predictions beside the erasure", Times(beside.seconds), 100)
    yield from _compaction(service, clients)


def _compaction(service: Service, clients: int) -> Iterator[Figure]:
    done: list[Compacted] = []
    with singles_beside(service, clients) as beside, _watched_locks(service) as locks:
        report = compact(service.engine, on_table=done.append)
    if report.left:
        raise WrongAnswer(f"compaction left {report.left}")
    size, seconds = sum(one.bytes_before for one in done), sum(one.seconds for one in done)
    yield Figure(
        "compaction", size / seconds / 1e6, "MB/s", 100, higher_is_better=True,
        beside={"tables": len(done), "MB": size / 1e6, "seconds": seconds, "longest": max(one.seconds for one in done)},
    )  # fmt: skip
    yield Figure("partitions that compaction locks at a time", float(max(locks, default=0)), "", 1)
    yield p99("single predictions beside the compaction", Times(beside.seconds), 100)


@contextmanager
def _watched_locks(service: Service) -> Iterator[list[int]]:
    """How many partitions were locked against readers, asked again and again."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        with autocommit(service.engine) as connection:
            while not over.wait(0.02):
                seen.append(int(connection.execute(text(_LOCKED)).scalar_one()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


_LOCKED = """
SELECT count(DISTINCT c.oid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND c.relispartition AND c.relkind = 'r'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def measure_retention(service: Service, stored: Stored, clients: int) -> Iterator[Figure]:
    """Retention of the bulk answers before the single jobs, then of the single jobs."""
    with transaction(service.engine) as connection:
        set_floor(connection, "30 days")
    yield from _retention(service, clients, "bulk answers", None, stored.singles_from, stored)
    yield from _retention(service, clients, "single jobs", stored.singles_from, stored.singles_until, stored)


def _retention(
    service: Service, clients: int, words: str, since: datetime | None, until: datetime, stored: Stored
) -> Iterator[Figure]:
    """Let go all until `until`, in whole days, where that until `since` has gone already."""
    now = datetime.now(UTC)
    days = _days(now, until)
    rest = [copy for copy in stored.copies if since is None or copy.at >= now - timedelta(days=_days(now, since))]
    rows = stored.rows([copy for copy in rest if copy.at < now - timedelta(days=days)])
    with transaction(service.engine) as connection:
        set_period(connection, f"{days} days")
    before = _database_bytes(service)
    with singles_beside(service, clients) as beside:
        seconds, report = seconds_of(
            lambda: carry_out(service.engine, lambda: datetime.now(UTC), actor_kind="bench", actor="bench")
        )
    gone = report.to_json()["answers"]
    if gone != rows:
        raise WrongAnswer(f"{gone:,} of {rows:,} {words} went")
    freed = before - _database_bytes(service)
    yield Figure(
        f"retention of {rows:,} {words}", seconds, "s", 60,
        beside={"partitions": len(report.partitions), "freed MB": freed / 1e6, "waiting": report.waiting},
    )  # fmt: skip
    yield p99(f"single predictions beside the retention of {words}", Times(beside.seconds), 100)


def _days(now: datetime, until: datetime) -> int:
    """The longest period with which all until `until` goes."""
    return (now - until - timedelta(days=1)).days


def _database_bytes(service: Service) -> int:
    with service.engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
