"""A million rows in one job, under random faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults import redis, workers
from tests.torture.faults.base import Fault, Tools

ROWS = 1_000_000


@contextmanager
def million(tools: Tools) -> Iterator[None]:
    """Accept a million rows, then kill a worker, empty Redis, and kill the pool while they are scored."""
    ordinary = list(population.ORDINARY)
    job_id = tools.submit(Ask("upload", ordinary * (ROWS // len(ordinary))))
    workers.worker_of(tools, tools.holder(job_id)[0]).kill()
    tools.hold(1)
    tools.cluster.heal()
    with redis.flushed(tools):
        tools.hold(1)
    tools.cluster.wait_ready(tools.cluster.workers)
    for process in tools.rng.choice(tools.cluster.workers).pool():
        process.kill()
    yield
    tools.wait_status(job_id, "succeeded", seconds=120)


FAULTS = [Fault("a million rows under faults", million, mixable=False)]
