"""Faults of the lines between any two parts: half-open, reset, slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.torture.faults.base import Fault, Tools
from tests.torture.machinery.cluster import Cluster
from tests.torture.machinery.proxy import Proxy

Lines = Callable[[Cluster], list[Proxy]]


def _callers(cluster: Cluster) -> list[Proxy]:
    return [gateway.front for gateway in cluster.gateways if gateway.front]


_LINES: dict[str, Lines] = {
    "caller–gateway": _callers,
    "gateway–PostgreSQL": lambda cluster: [gateway.postgres for gateway in cluster.gateways],
    "gateway–Redis": lambda cluster: [gateway.redis for gateway in cluster.gateways],
    "worker–PostgreSQL": lambda cluster: [worker.postgres for worker in cluster.workers],
    "worker–Redis": lambda cluster: [worker.redis for worker in cluster.workers],
}


def _half_open(name: str, lines: Lines) -> Fault:
    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        proxies = lines(tools.cluster)
        for proxy in proxies:
            proxy.silence()
        tools.hold(6)
        yield
        for proxy in proxies:
            proxy.unsilence()
            if "PostgreSQL" in name:
                # A proxy still acknowledges what it swallows, so the kernel's own time-outs see nothing wrong:
                # the silence ends as it does when the machine between restarts.
                proxy.reset_all()

    return Fault(f"{name} half-open 6 s", run, cuts_callers=name.startswith("caller"))


def _reset(name: str, lines: Lines) -> Fault:
    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        for _ in range(5):
            for proxy in lines(tools.cluster):
                proxy.reset_all()
            tools.hold(0.3)
        yield

    return Fault(f"{name} reset, five times", run, cuts_callers=name.startswith("caller"))


def _slow(name: str, lines: Lines) -> Fault:
    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        proxies = lines(tools.cluster)
        for proxy in proxies:
            proxy.delay = 0.1
        tools.hold(6)
        yield
        for proxy in proxies:
            proxy.delay = 0.0

    return Fault(f"{name} slow (0.1 s each way) 6 s", run, cuts_callers=name.startswith("caller"))


FAULTS = [make(name, lines) for name, lines in _LINES.items() for make in (_half_open, _reset, _slow)]
