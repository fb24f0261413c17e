"""PostgreSQL 15 and later will do: the schema and a job on an older one than the embedded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.config import Settings
from shared.postgres.engine import make_engine
from shared.status import JobStatus
from sql.migrate import head_revision, upgrade
from tests import older_postgres as older
from tests.integration.worker.delivery_support import assert_right, quick
from tests.sample import create_clients_table
from tests.support import add_clients, add_model, publish, submit_bulk, wait_for_job, worker_process


@pytest.fixture
def older_settings(older_postgres: EmbeddedPostgres, redis_url: str) -> Settings:
    """Settings with a fresh, empty database on the older server."""
    admin = create_engine(older_postgres.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS fresh"))
        connection.execute(text("CREATE DATABASE fresh"))
    admin.dispose()
    url = make_url(older_postgres.url).set(database="fresh")
    return quick(url.render_as_string(hide_password=False), redis_url)


@pytest.fixture
def older_engine(older_settings: Settings) -> Iterator[Engine]:
    engine = make_engine(older_settings, application_name="test", pool_size=4)
    yield engine
    engine.dispose()


def test_an_older_postgres_takes_the_schema_and_a_job(older_settings: Settings, older_engine: Engine) -> None:
    """Migrated from nothing, it accepts a job, hands its batches to a worker and keeps the right answers."""
    with older_engine.connect() as connection:
        version = connection.execute(text("SHOW server_version_num")).scalar_one()
    assert int(version) // 10_000 in older.SUPPORTED
    assert upgrade(older_engine) == (None, head_revision())
    with older_engine.begin() as connection:
        create_clients_table(connection)
    add_model(older_engine)
    add_clients(older_engine, 250)
    clients = list(range(1, 251))
    with worker_process(older_settings):
        accepted = submit_bulk(older_engine, clients)
        publish(older_settings, accepted)
        job = wait_for_job(older_engine, accepted.job_id)
    assert job.status is JobStatus.SUCCEEDED
    assert_right(older_engine, accepted, clients)


def test_a_machine_without_an_older_postgres_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that need it fail, and say what to type."""
    monkeypatch.setattr(older, "_all_programs", lambda: iter(()))
    with pytest.raises(older.OlderPostgresMissing, match="make older-postgres"):
        older.older_programs()
