"""Gateways and workers as processes of their own, each behind proxies of its own."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path

import psutil

from devstack.servers.cluster import role_password
from devstack.servers.ports import free_port
from devstack.services import FLOWER, FLOWER_USER, NO_DATABASE
from devstack.supervision.child import Child
from devstack.supervision.process import ChildProcess
from shared.database_role import DatabaseRole
from tests.torture.machinery.freezer import family
from tests.torture.machinery.netns import HERE, THERE, Host
from tests.torture.machinery.proxy import Loop, Proxy, Tally

ROOT = Path(__file__).parents[3]
_MODULES = {"upkeep": "worker.upkeep"}  # what kinds of process are started as, where that is not their name
# Who put a message on a queue. What Celery notes of a message that it took begins with a bracket.
_ORIGIN = rb'\r\n\{"body": .{1,2000}?"origin": "(\d+)@'
# How Redis's reply to BRPOP begins: two parts, the first of them the queue's name.
_DELIVERY = rb"\*2\r\n\$\d+\r\n(?:interactive|bulk)\r\n"


@dataclass
class Service:
    """A gateway or a worker. `environment` is added to that of every start; `postgres` and `redis` are its links."""

    name: str
    arguments: list[str]
    log_path: Path
    port: int  # a gateway's own port, a worker's port for metrics
    postgres: Proxy
    redis: Proxy
    front: Proxy | None  # what callers connect to, for a gateway
    environment: Mapping[str, str]
    sabotage: tuple[str, ...] = ()  # the protections to go without, see tests.torture.sabotage.protections
    clock_offset: float = 0.0  # seconds by which this process's clock is wrong
    host: Host | None = None  # None: this one
    code: Path = ROOT  # the directory of the packages that it runs
    pids: set[int] = field(default_factory=set)  # of the main processes that it has had
    _process: ChildProcess | None = field(default=None, init=False)

    def start(self) -> None:
        """Start, without waiting for it to be ready."""
        if self._process is None or not self._process.is_running:
            self.kill()  # what is left of an earlier one, the keeper of its log at least
            self._process = ChildProcess(self._child())
            self._process.spawn()
            self.pids.add(self.pid)

    @property
    def pid(self) -> int:
        """The process id of the (main) process."""
        if self._process is None or self._process.popen is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.popen.pid

    @property
    def lines(self) -> list[Proxy]:
        """Its proxies."""
        return [line for line in (self.front, self.postgres, self.redis) if line is not None]

    @property
    def is_running(self) -> bool:
        """Whether the main process exists."""
        return self._process is not None and self._process.is_running

    def is_ready(self) -> bool:
        """Whether it answers: a gateway on /health/live, a worker with its metrics."""
        try:
            self.read("health/live" if self.front else "metrics")
        except OSError:
            return False
        return True

    def read(self, path: str) -> str:
        """What it answers at `path`, asked past all proxies. Raises OSError when it does not, within 2 s."""
        address = THERE if self.host else "127.0.0.1"
        try:
            with urllib.request.urlopen(f"http://{address}:{self.port}/{path}", timeout=2) as answer:
                return str(answer.read(), "utf-8")
        except HTTPException as error:  # it ended in the middle of its answer
            raise ConnectionError(repr(error)) from error

    def kill(self) -> None:
        """SIGKILL the process and its children, as the end of a container does."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after a while."""
        if self._process is not None:
            self._process.stop()

    def close(self) -> None:
        """End it for good, with its proxies."""
        self.kill()
        for line in self.lines:
            line.close()

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        os.kill(self.pid, signal.SIGTERM)

    def processes(self) -> list[psutil.Process]:
        """The main process and all below it, as far as they exist."""
        return family(self.pid)

    def pool(self) -> list[psutil.Process]:
        """The scoring processes of a worker, oldest first."""
        below = [process for process in self.processes()[1:] if not _is_planner(process)]
        return sorted(below, key=lambda process: process.create_time())

    def _child(self) -> Child:
        kind, *options = self.arguments
        module = [_MODULES.get(kind, kind), *options]
        if self.sabotage or self.clock_offset:
            module = [
                "tests.torture.sabotage.sabotaged",
                str(self.clock_offset),
                ",".join(self.sabotage),
                *self.arguments,
            ]
        return Child(
            name=self.name,
            argv=[*(self.host.prefix if self.host else []), sys.executable, "-m", *module],
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},  # for the model, where `code` is elsewhere
            log_path=self.log_path,
            ready=self.is_ready,
            cwd=self.code,
            stop_timeout=30.0,
        )


def _is_planner(process: psutil.Process) -> bool:
    try:
        return any("planning" in word or word == "planner" for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Backends:
    """Where PostgreSQL and Redis really are."""

    postgres_port: int
    postgres_password: str
    redis_port: int
    redis_password: str


class PutBack:
    """Counts the messages that sweepers put back, on the line: those that the main process of a worker has written.

    Its planner writes messages, too, for pages that it has planned.
    """

    def __init__(self) -> None:
        self.tally = Tally(_ORIGIN, longest=2500)
        self.workers: list[Service] = []

    @property
    def count(self) -> int:
        """So far."""
        mains = {b"%d" % pid for worker in self.workers for pid in worker.pids}
        return sum(count for origin, count in self.tally.counts.items() if origin in mains)


class ServiceFactory:
    """Makes gateways and workers whose every connection goes through a proxy."""

    def __init__(self, loop: Loop, backends: Backends, directory: Path, settings: Mapping[str, str]) -> None:
        self._loop = loop
        self._backends = backends
        self._directory = directory
        self._settings = settings
        self.deliveries = Tally(_DELIVERY, longest=32)
        self.sent_again = PutBack()

    def gateway(self, number: int, sabotage: tuple[str, ...] = ()) -> Service:
        """A gateway, not started yet."""
        port = free_port()
        arguments = ["api", "--host", "127.0.0.1", "--port", str(port)]
        return self._make(f"gateway{number}", arguments, port, Proxy(self._loop, port), sabotage, DatabaseRole.GATEWAY)

    def worker(
        self, number: int, concurrency: int, sabotage: tuple[str, ...] = (), host: Host | None = None
    ) -> Service:
        """A worker for both queues, on this host or another, not started yet."""
        name = f"worker{number}"
        arguments = ["worker", "--concurrency", str(concurrency), "--name", name]
        worker = self._make(name, arguments, free_port(), None, sabotage, DatabaseRole.WORKER, host)
        worker.redis.tally = self.deliveries
        worker.redis.outward_tally = self.sent_again.tally
        self.sent_again.workers.append(worker)
        return worker

    def upkeep(self, sabotage: tuple[str, ...] = ()) -> Service:
        """An upkeep process, not started yet. It tells nobody that it is ready."""
        return self._make("upkeep", ["upkeep"], free_port(), None, sabotage, DatabaseRole.UPKEEP)

    def flower(self, password: str) -> Service:
        """Flower, with this password, not started yet: it sees what workers tell each other, and knows no database."""
        port = free_port()
        flower = self._make("flower", ["devstack.flower", str(port)], port, None, (), DatabaseRole.WORKER)
        own = {**FLOWER, "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password}", "DATABASE_URL": NO_DATABASE}
        return replace(flower, environment={**flower.environment, **own})

    def _make(
        self,
        name: str,
        arguments: list[str],
        port: int,
        front: Proxy | None,
        sabotage: tuple[str, ...],
        role: DatabaseRole,
        host: Host | None = None,
    ) -> Service:
        backends = self._backends
        address = HERE if host else "127.0.0.1"
        postgres = Proxy(self._loop, backends.postgres_port, address)
        redis = Proxy(self._loop, backends.redis_port, address)
        environment = {
            **self._settings,
            "DATABASE_URL": f"postgresql+psycopg2://{role.default_name}:"
            f"{role_password(backends.postgres_password, role)}@{address}:{postgres.port}/predictq",
            "REDIS_URL": f"redis://:{backends.redis_password}@{address}:{redis.port}/0",
            "PREDICTQ_WORKER_METRICS_PORT": str(port),
            "PREDICTQ_WORKER_METRICS_HOST": THERE if host else "127.0.0.1",
        }
        log = self._directory / f"{name}.log"
        return Service(name, arguments, log, port, postgres, redis, front, environment, sabotage, host=host)
