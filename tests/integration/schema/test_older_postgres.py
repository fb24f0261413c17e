"""PostgreSQL 15 and later will do: the schema and a job on an older one than the embedded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.batches.row_accounting import read_row_account
from shared.config import Settings
from shared.erasure.compact import compact
from shared.postgres.engine import make_engine, transaction
from shared.retention.rules.policy import set_period
from shared.retention.run import run_retention
from shared.status import JobStatus
from sql.migrate import head_revision, upgrade
from tests import older_postgres as older
from tests.integration.jobs.planning_support import keys_of, plan_of, planner_process, select
from tests.integration.schema import test_schema_views as views
from tests.integration.stored.erasure_support import PERSON, add_page, ask, erasure, everything, key_of
from tests.integration.stored.upkeep_support import add_version, close_range, count_rows, store_bulk, store_singles
from tests.integration.worker.delivery_support import assert_right, quick
from tests.roles import as_upkeep, give_roles
from tests.sample import create_clients_table
from tests.support import add_clients, add_model, publish, submit_bulk, wait_for_job, wait_until, worker_process
from worker.erasure.runner import Eraser


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
    give_roles(older_engine)
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


@pytest.fixture
def migrated(older_engine: Engine) -> Engine:
    """The schema, the sample's table and a live model on the older server."""
    upgrade(older_engine)
    give_roles(older_engine)
    with older_engine.begin() as connection:
        create_clients_table(connection)
    add_model(older_engine)
    return older_engine


def test_an_older_postgres_is_planned_on(older_settings: Settings, migrated: Engine) -> None:
    """A selection gets each of its clients once, in the order of keys."""
    add_clients(migrated, 250)
    with planner_process(older_settings):
        job_id = select(migrated)
        wait_until(lambda: plan_of(migrated, job_id) is None, what="the job is planned")
    assert keys_of(migrated, job_id) == list(range(1, 251))


def test_an_older_postgres_lets_partitions_go(migrated: Engine) -> None:
    """Retention drops what is due as a whole, and goes page by page where something of it stays."""
    now = datetime.now(UTC)
    old = now - timedelta(days=420)
    version = add_version(migrated)
    whole = store_bulk(migrated, old, [[1, 2], [3]], version)
    close_range(migrated)
    store_singles(migrated, old, [4, 5], version)
    store_singles(migrated, now, [6], version)
    with transaction(migrated) as connection:
        set_period(connection, "13 months")
        partition = connection.execute(
            text("SELECT tableoid::regclass::text FROM predictq.batch_outputs WHERE batch_id = :id"),
            {"id": whole.batch_ids[0]},
        ).scalar_one()
    report = run_retention(as_upkeep(migrated), now, settle_seconds=0)
    assert report.to_json()["answers"] == 5
    assert partition.removeprefix("predictq.") in report.partitions
    assert count_rows(migrated)["batch_outputs"] == 1
    with transaction(migrated) as connection:
        assert read_row_account(connection).imbalance == 0


def test_an_older_postgres_forgets_a_client(migrated: Engine) -> None:
    """An erasure leaves nothing of her in any row, and a compaction ends with every table written anew."""
    add_clients(migrated, 1, first=PERSON)
    key = key_of(migrated)
    add_page(migrated, key.source.id, "int8", [*range(1, 100), PERSON])
    submit_bulk(migrated, [PERSON, 5])
    asked = ask(migrated, key)
    assert Eraser(as_upkeep(migrated), None).erase(asked.id)
    assert erasure(migrated, asked.id).answers == 2
    assert str(PERSON) not in everything(migrated)
    assert compact(as_upkeep(migrated)).left == {}
    assert erasure(migrated, asked.id).compacted_at is not None


def test_the_plans_of_views_are_as_good_on_an_older_postgres(migrated: Engine) -> None:
    """By time, by batch and by job each view opens the pages that it shows, and no others."""
    with transaction(migrated) as connection:
        connection.execute(text(views.PAGES))
    with transaction(migrated) as connection:
        connection.execute(text("ANALYZE"))
    for view in views.VIEWS:
        views.test_the_newest_rows_are_read_by_time_and_no_further(migrated, view)
        views.test_rows_of_a_batch_open_its_page_alone(migrated, view, "batch_id = 1700")
        views.test_rows_of_a_bulk_job_open_its_pages_alone(migrated, view)


def test_a_machine_without_an_older_postgres_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests that need it fail, and say what to type."""
    monkeypatch.setattr(older, "_all_programs", lambda: iter(()))
    with pytest.raises(older.OlderPostgresMissing, match="make older-postgres"):
        older.older_programs()
