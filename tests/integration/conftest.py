"""Fixtures for the integration tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812
from sqlalchemy import Engine

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import make_engine
from tests.integration.network import Network
from tests.integration.sources.source_support import connect, run, source_server
from tests.roles import service_settings, settings_of
from tests.support import add_clients, add_model
from worker.celery.pool_process import ProcessSlot
from worker.models.model_store import ModelStore
from worker.scoring.scorer import Scorer


@pytest.fixture
def scorer(settings: Settings, engine: Engine) -> Iterator[Scorer]:
    """What a pool process builds after its fork.

    Patient: its heartbeat stays out of the way of tests that end leases by hand, and its watchdog, which would end
    the process of the tests, bears with a busy machine.
    """
    patient = settings.model_copy(update={"lease_seconds": 60, "batch_timeout_seconds": 60})
    slot = ProcessSlot(settings_of(DatabaseRole.WORKER, patient), ModelStore(), node="test")
    slot.prepare()
    yield slot.scorer
    slot.scorer.models.end()
    slot.scorer.engine.dispose()


@pytest.fixture
def ready(engine: Engine) -> Engine:
    """Ten clients and a live model."""
    add_clients(engine, 10)
    add_model(engine)
    return engine


@pytest.fixture
def network(database_url: str) -> Iterator[Network]:
    """The way from the gateway to PostgreSQL."""
    with Network(database_url) as network:
        yield network


@pytest.fixture(scope="module")
def engine_and_settings(make_database: Callable[..., str], module_redis_url: str) -> Iterator[tuple[Engine, Settings]]:
    """A database of this module's own, with a model and clients."""
    settings = service_settings(make_database(), module_redis_url)
    engine = make_engine(settings, application_name="test", pool_size=2)
    add_model(engine)
    add_clients(engine, 50)
    yield engine, settings
    engine.dispose()


@pytest.fixture(scope="module")
def source_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server of one module's own, for tables that are not predictq's."""
    with source_server(tmp_path_factory.mktemp("sources") / "data") as server:
        yield server


@pytest.fixture
def address(source_postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database there of one test's strange tables."""
    admin = connect(source_postgres.url)
    run(admin, "CREATE DATABASE strange STRATEGY file_copy")
    yield source_postgres.url.rpartition("/")[0] + "/strange"
    run(admin, "DROP DATABASE strange WITH (FORCE)")
    admin.close()


@pytest.fixture
def driver(address: str) -> Iterator[PsycopgConnection]:
    """A connection to it in autocommit."""
    driver = connect(address)
    yield driver
    driver.close()
