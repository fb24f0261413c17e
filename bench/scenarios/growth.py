"""Whether time and memory stay flat: jobs of growing size, and single predictions with millions stored."""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy import text

from bench.bill import proportional_megabytes
from bench.check import WrongAnswer
from bench.context import Bench, Figures, wait_for_job
from bench.load import closed_loop
from bench.stack import Service
from shared.db import autocommit

_STORED = 10_000_000


def measure(bench: Bench) -> Figures:
    """Jobs by upload, larger than the table of clients where need be: then each client comes several times."""
    largest = bench.count(5_000_000, 50_000)
    # Small jobs are over soon: many of them, before and after the largest, so that no size meets only the machine's
    # good or bad moments.
    few = {10_000: 3} if bench.quick else {10_000: 7, 100_000: 4, 1_000_000: 1}
    with bench.stack.service("growth") as service:
        figures: Figures = {"single_p50_ms": {"0": _single_p50(bench, service)}}
        for size in (100_000, 10_000, 10_000):  # warms up
            _score(service, bench.stack.clients, bench.count(size, 10_000))
        seconds: dict[int, list[float]] = {}
        peaks: list[float] = []
        for sizes in (few, {largest: 1}, few):
            for size, repeats in sizes.items():
                sampled = peaks if size == largest else None
                times = [_score(service, bench.stack.clients, size, sampled) for _ in range(repeats)]
                seconds.setdefault(size, []).extend(times)
        figures["microseconds_per_row"] = {
            str(size): statistics.median(times) / size * 1e6 for size, times in sorted(seconds.items())
        }
        figures["seconds"] = {str(size): times for size, times in sorted(seconds.items())}
        figures["worker_peak_mb"] = max(peaks)
        stored = _fill(service, bench.count(_STORED, 0))
        figures["single_p50_ms"][str(stored)] = _single_p50(bench, service)
    return figures


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


def _single_p50(bench: Bench, service: Service) -> float:
    requests = bench.predictions(service, 3000, prefer="wait=10")
    closed_loop(service.port, requests, connections=1, seconds=0.5)
    return closed_loop(service.port, requests, connections=1, seconds=bench.choose(3, 1)).percentile(50)


def _fill(service: Service, least: int) -> int:
    """Store finished jobs by SQL, past the workers, until there are `least` outputs; returns how many there are.

    Ends with what autovacuum and the next checkpoint would do while something else is measured.
    """
    with autocommit(service.engine) as connection:
        stored = int(connection.execute(text("SELECT count(*) FROM prediction_outputs")).scalar_one())
        missing = -(-max(0, least - stored) // 10_000)  # batches
        halves = [missing - missing // 2, missing // 2]
        with ThreadPoolExecutor(len(halves)) as threads:
            list(threads.map(lambda batches: _fill_batches(service, batches), halves))
            list(threads.map(lambda table: _vacuum(service, table), ("prediction_requests", "prediction_outputs")))
        connection.execute(text("CHECKPOINT"))
    return stored + missing * 10_000


def _fill_batches(service: Service, batches: int) -> None:
    with service.engine.begin() as connection:
        connection.execute(_FILL_BATCHES, {"batches": batches})
        connection.execute(_FILL_REQUESTS)
        connection.execute(_FILL_OUTPUTS)


def _vacuum(service: Service, table: str) -> None:
    with autocommit(service.engine) as connection:
        connection.execute(text(f"VACUUM (ANALYZE) {table}"))


_FILL_BATCHES = text("""
CREATE TEMPORARY TABLE filled ON COMMIT DROP AS WITH job AS (
    INSERT INTO jobs (id, kind, owner, model_version, request_count)
    SELECT gen_random_uuid(), 'bulk', 'bench', 1, greatest(1, :batches * 10000) RETURNING id
)
SELECT nextval('prediction_batches_id_seq') AS id, job.id AS job_id FROM job, generate_series(1, :batches);
INSERT INTO prediction_batches (id, job_id, queue, model_version, request_count, status, fence, attempts, worker,
                                succeeded, claimed_at, finished_at)
SELECT id, job_id, 'bulk', 1, 10000, 'finished', 1, 1, 'bench', 10000, now(), now() FROM filled
""")
_FILL_REQUESTS = text("""
INSERT INTO prediction_requests (request_id, job_id, client_id)
SELECT id * 100000 + n, job_id, n + 1 FROM filled, generate_series(0, 9999) n
""")
_FILL_OUTPUTS = text("""
INSERT INTO prediction_outputs (request_id, probability, label, threshold, model_version, client_version, fence)
SELECT id * 100000 + n, 0.25, 0, 0.5, 1, 1, 1 FROM filled, generate_series(0, 9999) n
""")
