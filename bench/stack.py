"""PostgreSQL and Redis of a run's own, with the settings of production, and predictq's processes on them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from redis import Redis
from sqlalchemy import Engine, create_engine, make_url, text

from bench.setup.data import load_clients, register, train_model
from bench.setup.programs import ProgramFailed, running, tail, wait_for_http
from devstack.servers.ports import free_port
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from model.artefact import Artefact
from shared.access.api_keys import create_key
from shared.config import Settings
from shared.postgres.engine import make_engine, transaction
from sql.migrate import upgrade

_TEMPLATE = "bench_template"
_FIRST_ANSWER_SECONDS = 60


@dataclass(slots=True)
class Service:
    """A running predictq: one gateway, its workers, a database of its own."""

    port: int
    key: str
    settings: Settings
    engine: Engine
    gateway: psutil.Process
    workers: list[psutil.Process]
    client: httpx.Client
    add_worker: Callable[[Sequence[str]], None]  # by its arguments; it ends with the service

    @property
    def worker_processes(self) -> list[psutil.Process]:
        """Every process of the workers: mains and pool."""
        return [each for main in self.workers for each in (main, *main.children(recursive=True))]


@dataclass(slots=True)
class Stack:
    """The servers, the trained model, and a template database with `clients` clients and the live model."""

    directory: Path
    clients: int
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    artefact: Artefact
    model: Path  # where the artefact is stored
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _kept: dict[str, str] = field(default_factory=dict)

    def database(self, name: str) -> str:
        """A fresh copy of the template; returns its URL."""
        name = f"bench_{name}_{next(self._numbers)}"
        admin = create_engine(self.postgres.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy"))
            connection.execute(text("CHECKPOINT"))
        admin.dispose()
        return self._url(name)

    def kept_database(self, name: str) -> str:
        """The same, made for the first who asks for it and kept for the next: a copy takes seconds."""
        if name not in self._kept:
            self._kept[name] = self.database(name)
        return self._kept[name]

    def drop(self, url: str) -> None:
        """Drop a database, so that the disk does not keep millions of rows."""
        admin = create_engine(self.postgres.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))
        admin.dispose()

    def log(self, name: str) -> Path:
        """Where a program writes to."""
        return self.directory / f"{name}.log"

    @contextmanager
    def service(
        self,
        name: str,
        *,
        workers: Sequence[Sequence[str]] = (("--concurrency", "2"),),
        extra: Mapping[str, str] | None = None,
        redis_database: int = 0,
    ) -> Iterator[Service]:
        """A service on a fresh database, ready; one worker per entry of `workers`, which are its arguments.

        `extra` goes over the environment. Of two at the same time, each needs a `redis_database` of its own.
        """
        url = self.database(name)
        redis_url = f"{self.redis.url.rpartition('/')[0]}/{redis_database}"
        settings = Settings(database_url=url, redis_url=redis_url)
        with Redis.from_url(redis_url) as redis:
            redis.flushdb()
        engine = make_engine(settings, application_name="bench", pool_size=4)
        with transaction(engine) as connection:
            key, _ = create_key(connection, "bench")
        environment = {"DATABASE_URL": url, "REDIS_URL": redis_url, **(extra or {})}
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        with (
            ExitStack() as programs,
            httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=600) as client,
        ):
            command = ["-m", "api", "--port", str(port)]
            gateway = programs.enter_context(running(command, environment=environment, log=self.log("gateway")))
            mains: list[psutil.Process] = []

            def add_worker(options: Sequence[str]) -> None:
                command = ["-m", "worker", "--name", f"w{len(mains)}", *options]
                program = running(command, environment=environment, log=self.log("worker"))
                mains.append(programs.enter_context(program))

            for options in workers:
                add_worker(options)
            wait_for_http(f"{address}/health/ready", gateway, self.log("gateway"))
            service = Service(port, key, settings, engine, gateway, mains, client, add_worker)
            self._wait_for_answers(service, 20)
            yield service
        engine.dispose()
        self.drop(url)

    def _wait_for_answers(self, service: Service, count: int) -> None:
        """Return after `count` answers, when every pool process can be expected to be up."""
        deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
        while count and time.monotonic() < deadline:
            answer = service.client.post("/v1/predict", json={"client_id": 1}, headers={"Prefer": "wait=10"})
            count -= answer.status_code == 200
        if count:
            raise ProgramFailed(f"no answers:\n{tail(self.log('gateway'))}\n{tail(self.log('worker'))}")

    def _url(self, name: str) -> str:
        return make_url(self.postgres.socket_url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def running_stack(directory: Path, *, clients: int) -> Iterator[Stack]:
    """Start the servers in `directory` and fill the template; everything is deleted at the end."""
    with EmbeddedPostgres(directory / "postgres") as postgres, EmbeddedRedis(directory / "redis", free=True) as redis:
        model = directory / "model"
        stack = Stack(directory, clients, postgres, redis, train_model(model), model)
        admin = create_engine(postgres.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {_TEMPLATE}"))
        admin.dispose()
        settings = Settings(database_url=stack._url(_TEMPLATE), redis_url=redis.url)  # noqa: SLF001 - its own factory
        engine = make_engine(settings, application_name="bench")
        upgrade(engine)
        load_clients(engine, clients)
        register(engine, stack.artefact)
        engine.dispose()
        try:
            yield stack
        finally:
            postgres.destroy()  # as root its data may live outside the directory
