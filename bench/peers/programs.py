"""Starting a peer: its gateway, its workers, and a database with the same clients and empty tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import Engine, create_engine, text

from bench.load import post
from bench.peers.store import TABLES
from bench.setup.programs import running, wait_for_http
from bench.stack import Stack
from devstack.servers.ports import free_port

_WORKERS: dict[str, list[list[str]]] = {  # two processes that score, for each
    "celery": [["-m", "celery", "-A", "bench.peers.celery_tasks", "worker", "--concurrency", "2", "-l", "WARNING"]],
    "dramatiq": [["-m", "dramatiq", "bench.peers.dramatiq_tasks", "--processes", "2", "--threads", "8"]],
    "rq": [["-m", "bench.peers.rq_worker"]] * 2,
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    port: int
    engine: Engine

    def requests(self, count: int) -> list[bytes]:
        """Ready-made requests, the n-th for client n + 1."""
        return [post("/predict", b'{"client_id":%d}' % number, port=self.port) for number in range(1, count + 1)]

    def answered(self) -> int:
        """How many answers are stored."""
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM peer_answers")).scalar_one())


@contextmanager
def peer_database(stack: Stack) -> Iterator[tuple[Engine, dict[str, str]]]:
    """A database with the peers' tables, empty, and the environment that names it, the model and Redis."""
    url = stack.kept_database("peers")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLES))
    redis_url = f"{stack.redis.url.rpartition('/')[0]}/1"
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    yield (
        engine,
        {"DATABASE_URL": url, "REDIS_URL": redis_url, "BENCH_MODEL": str(stack.model)},
    )
    engine.dispose()


@contextmanager
def running_peer(stack: Stack, kind: str) -> Iterator[Peer]:
    """The peer of that kind: celery, dramatiq, rq, or none for the synchronous endpoint."""
    with peer_database(stack) as (engine, environment), ExitStack() as programs:
        environment["BENCH_PEER"] = kind
        log = stack.log(f"peer-{kind}")
        for command in _WORKERS.get(kind, []):
            programs.enter_context(running(command, environment=environment, log=log))
        yield Peer(_start_gateway(programs, stack, "bench.peers.gateway:app", environment), engine)


@contextmanager
def noop_gateway(stack: Stack) -> Iterator[int]:
    """The POST that does nothing; yields its port."""
    with ExitStack() as programs:
        yield _start_gateway(programs, stack, "bench.peers.noop:app", {})


def _start_gateway(programs: ExitStack, stack: Stack, app: str, environment: dict[str, str]) -> int:
    port = free_port()
    log = stack.log(app.partition(":")[0])
    command = ["-m", "uvicorn", app, "--port", str(port), "--no-access-log", "--log-level", "warning"]
    process = programs.enter_context(running(command, environment=environment, log=log))
    wait_for_http(f"http://127.0.0.1:{port}/openapi.json", process, log)
    return port
