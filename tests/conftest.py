"""Real servers for the tests: one PostgreSQL and one Valkey per process, a fresh migrated database per test."""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from redis import Redis
from sqlalchemy import Engine, create_engine, make_url, text
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import make_engine
from sql.migrate import upgrade
from sql.roles import make_roles
from tests.older_postgres import older_programs
from tests.roles import service_settings
from tests.sample import create_clients_table

_TESTS = Path(__file__).parent

# No test is right or wrong by its time: Hypothesis would call a busy machine a fault.
hypothesis_settings.register_profile("predictq", deadline=None)
# A mutant is noticed or it is not: the smallest example that shows it tells nobody anything.
hypothesis_settings.register_profile(
    "mutants", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate), print_blob=False
)
hypothesis_settings.load_profile("predictq")

# Tests of a module run in one process, for their fixtures may be the module's; but for these:
_TOGETHER = (
    "tests/e2e/",  # they share a stack, and stacks that start at once would want the same ports
    "tests/browser/",  # so do they
    "tests/torture/",  # a whole cluster each
    "tests/hostile/",  # one stack, whose figures count
)
_APART = (  # long, and with fixtures of their own
    "tests/integration/outages/test_deadlines.py",
    "tests/integration/worker/test_faults.py",
    "tests/integration/queues/test_reconnects.py",
)

# Tests start often and lose nothing that matters: no flushes to disk, little memory.
_POSTGRES = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "autovacuum": "off",
}


def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: one process more than cores, because many tests wait; each has servers of its own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, 4)


class Sharing(LoadScopeScheduling):
    """Shares tests out in the groups that belong together, largest first."""

    def _split_scope(self, nodeid: str) -> str:
        """The name of the group."""
        if nodeid.startswith(_APART):
            return nodeid
        return next((place for place in _TOGETHER if nodeid.startswith(place)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """What `-n` shares the tests out by."""
    return Sharing(config, log)


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    """Whoever sets up the logging of this process takes it back (`own_logging`).

    Otherwise the tests that follow would write to a stream of that test, which is closed by then.
    """
    root = logging.getLogger()
    before = _own_handlers(root), root.level
    yield
    after = _own_handlers(root), root.level
    root.handlers[:] = [handler for handler in root.handlers if handler not in after[0]] + before[0]
    root.setLevel(before[1])
    assert after == before


def _own_handlers(logger: logging.Logger) -> list[logging.Handler]:
    """All but those by which pytest itself listens."""
    return [handler for handler in logger.handlers if not type(handler).__module__.startswith("_pytest.")]


@pytest.fixture
def own_logging() -> Iterator[None]:
    """For tests that configure the logging of this process: what the run of tests has is put back."""
    root, alembic, access = (logging.getLogger(name) for name in ("", "alembic", "uvicorn.access"))
    kept = root.handlers[:], root.level, alembic.level, access.disabled, sys.excepthook
    yield
    root.handlers[:] = kept[0]
    root.setLevel(kept[1])
    alembic.setLevel(kept[2])
    access.disabled = kept[3]
    sys.excepthook = kept[4]
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of this test process's own; `make mutants` has one for all of its runs."""
    warm = getattr(request.config, "warm_servers", None)
    if warm is not None:
        yield warm.postgres
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data", settings=_POSTGRES) as server:
        yield server
        server.destroy()  # as root its data may live outside the temporary directory


@pytest.fixture(scope="session")
def older_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of the oldest supported version that is on this machine, of this test process's own."""
    directory = tmp_path_factory.mktemp("older-postgres") / "data"
    with EmbeddedPostgres(directory, settings=_POSTGRES, programs=older_programs()) as server:
        yield server
        server.destroy()


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Valkey server, which speaks Redis' protocol, of this test process's own; see `postgres`."""
    warm = getattr(request.config, "warm_servers", None)
    if warm is not None:
        yield warm.redis
        return
    with EmbeddedRedis(
        tmp_path_factory.mktemp("redis") / "data", more=("flushall", "flushdb", "scan", "dump")
    ) as server:
        yield server


@pytest.fixture(scope="session")
def make_database(postgres: EmbeddedPostgres) -> Iterator[Callable[..., str]]:
    """Makes databases: `make_database()` is migrated, `make_database(migrated=False)` is empty. Returns the URL."""
    admin = create_engine(postgres.url, isolation_level="AUTOCOMMIT")
    numbers = itertools.count()

    def make(*, migrated: bool = True) -> str:
        name = f"test_{next(numbers)}"
        template = "TEMPLATE template_predictq STRATEGY file_copy" if migrated else ""
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} {template}"))
        return make_url(postgres.url).set(database=name).render_as_string(hide_password=False)

    with admin.connect() as connection:
        is_there = connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname = 'template_predictq'"))
        if not is_there:
            connection.execute(text("CREATE DATABASE template_predictq"))
    if not is_there:
        template = create_engine(make_url(postgres.url).set(database="template_predictq"))
        upgrade(template)
        make_roles(template, {role: postgres.url_of(role) for role in DatabaseRole})
        with template.begin() as connection:
            create_clients_table(connection)
            connection.execute(text(_READABLE))
        template.dispose()
    yield make
    admin.dispose()


@pytest.fixture
def database_url(make_database: Callable[..., str]) -> str:
    """The URL of a fresh, migrated database."""
    return make_database()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The URL of this process's Redis, emptied."""
    return _emptied(redis_server)


@pytest.fixture(scope="module")
def module_redis_url(redis_server: EmbeddedRedis) -> str:
    """The same for what a whole module uses: what the module before it left there is gone."""
    return _emptied(redis_server)


def _emptied(server: EmbeddedRedis) -> str:
    with Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


# Tables of tests are sources that the services may read, as if somebody had granted it.
_READABLE = """
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO predictq_gateway, predictq_worker;
"""


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    """Settings for one test, impatient so that recovery is quick to see. Services have database roles of their own."""
    return service_settings(
        database_url,
        redis_url,
        lease_seconds=2,
        batch_timeout_seconds=5,
        sweep_seconds=0.3,
        dispatch_grace_seconds=0.5,
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An engine on the test's database, as its owner: for what tests prepare, and look at."""
    engine = make_engine(settings, application_name="test", pool_size=4)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def reference_csv() -> Path | None:
    """The reference data beside the checkout, where it is there."""
    path = _TESTS.parents[1] / "shared" / "data" / "hr_attrition.csv"
    return path if path.exists() else None
