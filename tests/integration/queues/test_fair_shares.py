"""Work waiting is shared between owners: ten million rows of one do not delay a hundred of another."""

from __future__ import annotations

import statistics
import time
from uuid import UUID

from sqlalchemy import Engine, text

from shared.config import Settings
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.records import read_job
from shared.messaging.messages import make_redis, publish_work
from shared.postgres.engine import autocommit, transaction
from tests.support import add_clients, add_model, bulk_job, publish, wait_until, worker_process

_ROWS = 10_000  # of a batch
_BATCHES = 1_000

_MORE = text("""
WITH keys AS MATERIALIZED (
    SELECT array_agg(1 + n % 1000 ORDER BY n) AS keys FROM generate_series(CAST(1 AS bigint), :rows) n
), batch AS (
    INSERT INTO predictq.prediction_batches (queue, job_id, owner, model_version_id, request_count)
    SELECT b.queue, b.job_id, b.owner, b.model_version_id, :rows
    FROM predictq.prediction_batches b CROSS JOIN generate_series(1, :batches) WHERE b.job_id = :job
    RETURNING id
)
INSERT INTO predictq.batch_requests (batch_id, request_count, source_id, job_id, keys_int8)
SELECT b.id, :rows, j.source_id, j.id, k.keys FROM batch b CROSS JOIN keys k JOIN predictq.jobs j ON j.id = :job
""")


def test_a_hundred_rows_do_not_wait_for_ten_million(settings: Settings, engine: Engine) -> None:
    """While a worker is amid another owner's ten million rows: within two seconds, by the median of three tries."""
    add_model(engine)
    add_clients(engine, 1000)
    shipped = settings.model_copy(update={"lease_seconds": 10, "batch_timeout_seconds": 60})
    large = accept_keys(engine, bulk_job(engine, owner="giant"), ListedIds([1]), 1)
    with transaction(engine) as connection:
        connection.execute(_MORE, {"rows": _ROWS, "batches": _BATCHES, "job": str(large.job_id)})
        connection.execute(
            text("UPDATE predictq.jobs SET request_count = :rows WHERE id = :job"),
            {"rows": _ROWS * _BATCHES + 1, "job": str(large.job_id)},
        )
    with worker_process(shipped):
        with make_redis(shipped) as redis:
            publish_work(redis, _BATCHES + 1, large.queue)
        wait_until(lambda: done_rows(engine, large.job_id) >= 3 * _ROWS, seconds=120, what="the worker is at work")
        seconds = []
        for _ in range(3):
            job = bulk_job(engine, owner="neighbour")
            accepted = accept_keys(engine, job, ListedIds(range(1, 101)), 100)
            began = time.monotonic()
            publish(shipped, accepted)
            wait_until(lambda job=job: ended(engine, job.job_id), seconds=60, what="a hundred rows are answered")
            seconds.append(time.monotonic() - began)
        waiting = _ROWS * _BATCHES - done_rows(engine, large.job_id)
    assert waiting > 5_000_000, "the other owner's rows were all done by then"
    assert statistics.median(seconds) < 2, f"a hundred rows took {seconds} s beside {waiting:,} waiting"


def done_rows(engine: Engine, job_id: UUID) -> int:
    """How many rows of a job are answered."""
    query = text("SELECT coalesce(sum(request_count), 0) FROM predictq.batch_outputs WHERE job_id = :job")
    with autocommit(engine) as connection:
        return int(connection.execute(query, {"job": str(job_id)}).scalar_one())


def ended(engine: Engine, job_id: UUID) -> bool:
    """Whether a job of the neighbour's has ended with an answer to each row."""
    with autocommit(engine) as connection:
        job = read_job(connection, job_id, "neighbour")
    return job.status.is_terminal and job.succeeded == 100
