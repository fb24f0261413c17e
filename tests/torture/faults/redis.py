"""Faults of Redis: killed, emptied, full, frozen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, NotEnded, Tools
from tests.torture.machinery.cluster import wait_for
from tests.torture.machinery.freezer import family


@contextmanager
def killed(tools: Tools) -> Iterator[None]:
    """SIGKILL; it comes back with what its append-only file holds."""
    tools.cluster.redis.kill()
    tools.hold(3)
    yield
    tools.cluster.redis.start()


@contextmanager
def killed_with_all_its_data(tools: Tools) -> Iterator[None]:
    """SIGKILL without an append-only file: it comes back empty."""
    redis = tools.cluster.redis
    redis.kill()
    shutil.rmtree(redis.kept / "appendonlydir")
    tools.hold(3)
    yield
    redis.start()


@contextmanager
def flushed(tools: Tools) -> Iterator[None]:
    """FLUSHALL, with work waiting."""
    processes = [process for worker in tools.cluster.workers for process in worker.processes()]
    with tools.cluster.freezer.frozen(processes):
        tools.submit(Ask("bulk", tools.rng.choices(population.ORDINARY, k=1500)))
        tools.hold(1)  # messages gather
        with tools.cluster.redis_client() as client:
            client.flushall()
    yield


@contextmanager
def full(tools: Tools) -> Iterator[None]:
    """Maxmemory is reached: every write is refused."""
    with tools.cluster.redis_client() as client:
        usual = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "100kb")  # less than an empty Redis takes
    tools.hold(5)
    yield
    with tools.cluster.redis_client() as client:
        client.config_set("maxmemory", usual)
    tools.cluster.heal()  # Celery ends a worker whose acknowledgement is refused; a supervisor starts it again


@contextmanager
def one_lost_inside(tools: Tools) -> Iterator[None]:
    """Nobody takes messages, and one is lost out of the middle of a queue: it must be missed although others wait."""
    pool = [process for worker in tools.cluster.workers for process in worker.pool()]
    with tools.crowd.paused(), tools.cluster.freezer.frozen(pool), tools.cluster.redis_client() as client:
        for _ in range(3):
            tools.submit(Ask("bulk", tools.rng.choices(population.ORDINARY, k=1800)))
        wait_for(lambda: client.llen("bulk") > 4, 10, "messages in line")
        wait_for(lambda: client.llen("bulk") >= _waiting(tools), 30, "a message for each batch that waits")
        for _ in range(client.llen("bulk") - _waiting(tools) + 1):  # one too many would not be missed
            client.lrem("bulk", 1, cast("str", client.lindex("bulk", client.llen("bulk") // 2)))
        lost = client.llen("bulk")
        try:
            seconds = wait_for(lambda: client.llen("bulk") > lost, 40, "another message for the one that was lost")
        except TimeoutError as error:
            raise NotEnded(str(error)) from None
    tools.notes.append(f"sent again {seconds:.0f} s after the loss")
    yield


def _waiting(tools: Tools) -> int:
    query = "SELECT count(*) FROM predictq.prediction_batches WHERE status = 'queued' AND queue = 'bulk'"
    return int(tools.cluster.query(query)[0][0])


def paused(seconds: float) -> Callable[[Tools], AbstractContextManager[None]]:
    """SIGSTOP for `seconds`: connections stay up, nothing answers."""

    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        process = tools.cluster.redis.process
        if process is None:
            raise RuntimeError("Redis does not run")
        with tools.cluster.freezer.frozen(family(process.pid)):
            tools.hold(seconds)
            yield

    return run


FAULTS = [
    Fault("Redis SIGKILL, with append-only file", killed),
    Fault("Redis SIGKILL, without append-only file", killed_with_all_its_data),
    Fault("Redis FLUSHALL with work waiting", flushed),
    Fault("Redis at maxmemory", full),
    Fault("one message lost inside a standing queue", one_lost_inside, mixable=False),
    Fault("Redis paused 30 s", paused(30), mixable=False),
    Fault("Redis paused 8 s", paused(8)),
]
