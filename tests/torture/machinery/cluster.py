"""A whole predictq of the run's own: PostgreSQL, Redis, gateways, workers, and proxies between all of them."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import joblib
import psycopg2
from psycopg2.extensions import connection
from redis import Redis
from sqlalchemy import Engine, create_engine

from devstack.servers.location import POINTER
from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from model.artefact import build_artefact
from model.registration import new_version
from shared.access.api_keys import create_key
from shared.database_role import DatabaseRole
from shared.models.registry import promote_version, register_version
from shared.sources.source import read_source
from sql.migrate import upgrade
from sql.roles import make_roles
from tests.models import SIGNATURE
from tests.sample import create_clients_table
from tests.torture import population
from tests.torture.machinery.freezer import Freezer
from tests.torture.machinery.netns import Host
from tests.torture.machinery.proxy import Loop, Tally
from tests.torture.machinery.services import Backends, PutBack, Service, ServiceFactory
from tests.torture.machinery.stopping import pause
from tests.torture.models import TortureModel, linear_model
from tests.torture.sabotage.protections import SWITCHES, check_switches

_MIGRATING = threading.Lock()  # Alembic's context belongs to the process: clusters that start at once take turns

# As in production, but small: what is committed is on the disk.
_POSTGRES = {"shared_buffers": "128MB", "max_connections": "60", "max_wal_size": "1GB"}

# What the rows of a misbehaving model cost is a setting; everything else stays as it is shipped.
DEFAULTS = {"PREDICTQ_BATCH_TIMEOUT_SECONDS": "4", "PREDICTQ_BULK_BATCH_ROWS": "500"}
IMPATIENT = {
    **DEFAULTS,
    "PREDICTQ_LEASE_SECONDS": "2",
    "PREDICTQ_SWEEP_SECONDS": "0.5",
    "PREDICTQ_DISPATCH_GRACE_SECONDS": "1",
}

LIMITED_ROWS = 1000  # that may wait of one of the two owners: so its plans take a while, and wait for each other


@dataclass(frozen=True)
class Plan:
    """What a cluster consists of."""

    directory: Path
    gateways: int = 2
    workers: int = 2
    concurrency: int = 1
    settings: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    sabotage: tuple[str, ...] = ()  # the protections to go without
    postgres_disk: Path | None = None  # elsewhere, to give it a small disk
    redis_disk: Path | None = None
    has_flower: bool = False


class Cluster:
    """Starts everything as a context manager, and ends it the same way."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        directory = plan.directory
        directory.mkdir(parents=True, exist_ok=True)
        if plan.postgres_disk is not None:
            _place_postgres(directory / "postgres", plan.postgres_disk)
        self.postgres = EmbeddedPostgres(directory / "postgres", settings=_POSTGRES)
        self.redis = EmbeddedRedis((plan.redis_disk or directory) / "redis", more=("flushall", "config", "info"))
        self.freezer = Freezer()
        self.estimators: dict[int, Path] = {}  # a file of each model version's estimator, kept aside for the oracle
        self.standing = 0  # the model version that is live but for moments
        self.linear = 0  # the one that workers compile
        self.gateways: list[Service] = []
        self.workers: list[Service] = []
        self.flower: Service | None = None
        self._flower_password = secrets.token_urlsafe()
        self.api_key = ""
        self.limited_key = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.freezer)
            stack.enter_context(self.postgres)
            stack.callback(self._destroy_postgres)
            stack.enter_context(self.redis)
            self._loop = Loop()
            stack.callback(self._loop.close)
            self._set_up()
            stack.callback(self._stop_services)
            self._start_services()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def dsn(self) -> str:
        """PostgreSQL itself, past all proxies."""
        address = self.postgres.address
        return f"host=127.0.0.1 port={address.port} user=predictq password={address.password} dbname=predictq"

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement past all proxies; gives its rows, if it has any."""
        session: connection = psycopg2.connect(self.dsn, connect_timeout=3)
        with contextlib.closing(session), session, session.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def redis_client(self) -> Iterator[Redis]:
        """Redis itself, past all proxies."""
        with Redis.from_url(self.redis.url, socket_timeout=5) as client:
            yield client

    def services(self) -> list[Service]:
        """All gateways and workers."""
        return [*self.gateways, *self.workers]

    def _all(self) -> list[Service]:
        return [*self.services(), *([self.flower] if self.flower else [])]

    @property
    def deliveries(self) -> Tally:
        """The messages that Redis handed to workers, counted on the line: whoever died afterwards got them, too."""
        return self._factory.deliveries

    @property
    def sent_again(self) -> PutBack:
        """The messages that sweepers found to be missing, and put on the queues."""
        return self._factory.sent_again

    def add_worker(self, host: Host | None = None) -> Service:
        """One worker more, started; it is stopped with the others."""
        worker = self._factory.worker(len(self.workers), self.plan.concurrency, self.plan.sabotage, host)
        self.workers.append(worker)
        worker.start()
        return worker

    def make_upkeep(self) -> Service:
        """An upkeep process, not started yet; close it when it is not needed any more."""
        return self._factory.upkeep(self.plan.sabotage)

    def heal(self) -> None:
        """Bring back whatever does not run, as a supervisor would; for faults that end a process."""
        self.postgres.start()
        self.redis.start()
        for service in self._all():
            service.start()

    def undo(self) -> None:
        """Take back whatever a fault that stopped half-way may have left behind."""
        for service in self.services():
            for line in service.lines:
                line.restore()
        self.heal()

    def wait_ready(self, services: Sequence[Service], seconds: float = 60) -> None:
        """Return when all of them answer."""
        for service in services:
            wait_for(service.is_ready, seconds, f"{service.name} ready")

    def add_model(self, offset: float) -> int:
        """Register and promote one more version of the model; returns it."""
        self.standing = self._register(TortureModel(offset=offset), is_live=True)
        return self.standing

    def promote(self, version: int) -> None:
        """Make this version of the only model the live one. Raises psycopg2.Error."""
        if not self.query(_PROMOTE, [version]):
            raise LookupError(f"there is no version {version}")

    def logs(self) -> list[Path]:
        """What everything has written so far."""
        places = (self.plan.directory, self.postgres.data_dir, self.redis.data_dir)
        return [log for place in places for log in sorted(place.glob("*.log*"))]

    def secrets(self) -> dict[str, str]:
        """What nobody may find in a log, by what it is."""
        return {
            "PostgreSQL's password": self.postgres.address.password,
            "Redis's password": self.redis.address.password,
            "an API key": self.api_key,
            "another API key": self.limited_key,
            "Flower's password": self._flower_password,
        }

    def _register(self, estimator: Any, *, is_live: bool) -> int:
        """A new version of the default model."""
        artefact = build_artefact(estimator, SIGNATURE, 0.5, name="torture")
        engine = self._engine()
        with engine.begin() as connection:
            source = read_source(connection, "clients")
            registered = register_version(connection, new_version(artefact, source_id=source.id))
            if is_live:
                promote_version(connection, registered.id)
        version = registered.version
        engine.dispose()
        self.estimators[version] = self.plan.directory / f"estimator-{version}.joblib"
        joblib.dump(estimator, self.estimators[version])
        return version

    def _engine(self) -> Engine:
        return create_engine(self.postgres.url)

    def _set_up(self) -> None:
        engine = self._engine()
        with _MIGRATING:
            upgrade(engine)
            make_roles(engine, {role: self.postgres.url_of(role) for role in DatabaseRole})
        with engine.begin() as connection:
            create_clients_table(connection)
            self.api_key, _ = create_key(connection, "torturer", is_admin=True)
            self.limited_key, _ = create_key(connection, "limited", max_waiting_rows=LIMITED_ROWS)
        engine.dispose()
        population.fill(self.dsn)
        self.linear = self._register(linear_model(), is_live=False)
        self.add_model(0.0)
        check_switches(self.plan.sabotage)
        for name in self.plan.sabotage:
            for change in SWITCHES[name].database:
                change(self.query)

    def _start_services(self) -> None:
        plan = self.plan
        backends = Backends(
            self.postgres.address.port,
            self.postgres.address.password,
            self.redis.address.port,
            self.redis.address.password,
        )
        self._factory = ServiceFactory(self._loop, backends, plan.directory, plan.settings)
        self.gateways = [self._factory.gateway(number, plan.sabotage) for number in range(plan.gateways)]
        self.workers = [self._factory.worker(n, plan.concurrency, plan.sabotage) for n in range(plan.workers)]
        self.flower = self._factory.flower(self._flower_password) if plan.has_flower else None
        for service in self._all():
            service.start()
        self.wait_ready(self._all())

    def _stop_services(self) -> None:
        for service in self._all():
            service.close()

    def _destroy_postgres(self) -> None:
        self.postgres.destroy()  # as root its data may live outside the run's directory


_PROMOTE = """
UPDATE predictq.models m SET live_version_id = v.id
FROM predictq.model_versions v WHERE v.model = m.name AND v.version = %s RETURNING m.name
"""


def _place_postgres(data_dir: Path, disk: Path) -> None:
    """Let the embedded server keep the cluster of `data_dir` on `disk`, where its account can reach it."""
    home = disk / "postgres"
    home.mkdir(mode=0o711)
    data_dir.mkdir(mode=0o700)
    (data_dir / POINTER).write_text(str(home), encoding="utf-8")


def wait_for(check: Callable[[], object], seconds: float, what: str) -> float:
    """Poll until `check` is true; returns the seconds it took, raises TimeoutError with `what`, or Stopped."""
    started = time.monotonic()
    while not check():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        pause(0.05)
    return time.monotonic() - started
