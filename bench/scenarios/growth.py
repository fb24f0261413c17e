"""Whether time and memory stay flat: jobs of growing size, and single predictions with millions stored."""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy import text

from bench.check import WrongAnswer
from bench.context import Bench, Figures, wait_for_job
from bench.load import closed_loop
from bench.report.bill import proportional_megabytes
from bench.stack import Service
from shared.postgres.engine import autocommit


def measure(bench: Bench) -> Figures:
    """Jobs by upload, larger than the table of clients where need be: then each client comes several times.

    What these and the jobs before have stored is filled up to ten million; then single predictions are timed on that
    service and on a fresh one, by turns.
    """
    service = bench.service()
    largest = bench.count(5_000_000, 50_000)
    # Small jobs are over soon: many of them, spread over the whole time, so that no size meets only the machine's good
    # or bad moments.
    small = {10_000: 3} if bench.quick else {10_000: 12, 100_000: 3}
    middling: dict[int, int] = {} if bench.quick else {1_000_000: 1}
    clients = bench.stack.clients
    _make_log_segments(service, bench.count(100, 0))
    for size in (100_000, 10_000, 10_000):  # warms up
        _score(service, clients, bench.count(size, 10_000))
    seconds: dict[int, list[float]] = {}
    peaks: list[float] = []
    for sizes in (small, middling, small, {largest: 1}, small, middling, small):
        if sizes is not middling:
            _tidy(service)
        for size, repeats in sizes.items():
            sampled = peaks if size == largest else None
            times = [_score(service, clients, size, sampled) for _ in range(repeats)]
            seconds.setdefault(size, []).extend(times)
    while (stored := _stored(service)) < bench.count(10_000_000, 0):
        _score(service, clients, 1_000_000)
    _tidy(service)
    with bench.stack.service("empty", redis_database=1) as empty:
        p50 = _by_turns(bench, {"0": empty, str(stored): service})
    return {
        "microseconds_per_row": {
            str(size): statistics.median(times) / size * 1e6 for size, times in sorted(seconds.items())
        },
        "seconds": {str(size): times for size, times in sorted(seconds.items())},
        "worker_peak_mb": max(peaks),
        "single_p50_ms": p50,
    }


def _score(service: Service, clients: int, rows: int, peaks: list[float] | None = None) -> float:
    """Seconds from the job's acceptance to its end, by the database's clock."""
    content = io.BytesIO(b"client_id\n" + b"".join(b"%d\n" % (number % clients + 1) for number in range(rows)))
    wait = {} if peaks is not None else {"Prefer": "wait=60"}
    answer = service.client.post("/v1/jobs", content=content, headers={"Content-Type": "text/csv", **wait})
    job = answer.raise_for_status().json()
    if job["finished_at"] is None:
        job = wait_for_job(service, job["id"], each=None if peaks is None else _sampler(service, peaks))
    if job["request_counts"]["succeeded"] != rows:
        raise WrongAnswer(f"a job of {rows:,} rows ended as {job['request_counts']}")
    return (datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["created_at"])).total_seconds()


def _sampler(service: Service, peaks: list[float]) -> Callable[[], None]:
    processes = [each for main in service.workers for each in main.children()]

    def sample() -> None:
        peaks.append(max(proportional_megabytes(each) for each in processes))

    return sample


def _by_turns(bench: Bench, services: dict[str, Service]) -> dict[str, float]:
    """The p50 of each service in milliseconds, from rounds by turns: the machine's pace changes within seconds."""
    rounds: dict[str, list[float]] = {name: [] for name in services}
    for _ in range(bench.count(6, 2)):
        for name, service in services.items():
            requests = bench.predictions(service, 3000, prefer="wait=10")
            closed_loop(service.port, requests, connections=1, seconds=0.1)
            rounds[name].append(closed_loop(service.port, requests, connections=1, seconds=0.4).percentile(50))
    return {name: statistics.median(times) for name, times in rounds.items()}


def _stored(service: Service) -> int:
    with service.engine.connect() as connection:
        query = "SELECT coalesce(sum(succeeded), 0) FROM predictq.batch_outputs"
        return int(connection.execute(text(query)).scalar_one())


def _tidy(service: Service) -> None:
    """Do what autovacuum and the next checkpoint would else do during the measurement."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda table: _vacuum(service, table), ("batch_requests", "batch_outputs", "jobs")))
    with autocommit(service.engine) as connection:
        connection.execute(text("CHECKPOINT"))


def _make_log_segments(service: Service, count: int) -> None:
    """Write so much log that PostgreSQL has segments of it to write over, as a server has that has been in use.

    The largest job fills eighty. To make them anew took it 2 of 17 seconds, so that without this a job's time per row
    would tell whether a job of its size had ever run on that server before.
    """
    with autocommit(service.engine) as connection:
        for _ in range(count):
            connection.execute(text("SELECT pg_logical_emit_message(false, 'bench', repeat('x', 16000000))"))


def _vacuum(service: Service, table: str) -> None:
    with autocommit(service.engine) as connection:
        connection.execute(text(f"VACUUM (ANALYZE) predictq.{table}"))
