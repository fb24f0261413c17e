"""Faults of Redis: killed, emptied, full, frozen."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.torture.faults.base import Fault, Tools


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
    for file in redis.data_dir.glob("appendonly.aof*"):
        file.unlink()
    tools.hold(3)
    yield
    redis.start()


@contextmanager
def flushed(tools: Tools) -> Iterator[None]:
    """FLUSHALL, with work waiting."""
    for worker in tools.cluster.workers:
        worker.signal_all(signal.SIGSTOP)
    tools.hold(1)  # messages gather
    with tools.cluster.redis_client() as client:
        client.flushall()
    for worker in tools.cluster.workers:
        worker.signal_all(signal.SIGCONT)
    yield


@contextmanager
def full(tools: Tools) -> Iterator[None]:
    """Maxmemory is reached: every write is refused."""
    with tools.cluster.redis_client() as client:
        client.config_set("maxmemory", "100kb")  # less than an empty Redis takes
    tools.hold(5)
    yield
    with tools.cluster.redis_client() as client:
        client.config_set("maxmemory", "0")
    tools.cluster.heal()  # Celery ends a worker whose acknowledgement is refused; a supervisor starts it again


def paused(seconds: float) -> Callable[[Tools], AbstractContextManager[None]]:
    """SIGSTOP for `seconds`: connections stay up, nothing answers."""

    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        process = tools.cluster.redis.process
        if process is None:
            raise RuntimeError("Redis does not run")
        process.send_signal(signal.SIGSTOP)
        tools.hold(seconds)
        yield
        process.send_signal(signal.SIGCONT)

    return run


FAULTS = [
    Fault("Redis SIGKILL, with append-only file", killed),
    Fault("Redis SIGKILL, without append-only file", killed_with_all_its_data),
    Fault("Redis FLUSHALL with work waiting", flushed),
    Fault("Redis at maxmemory", full),
    Fault("Redis paused 30 s", paused(30), mixable=False),
    Fault("Redis paused 8 s", paused(8)),
]
