"""The schema: it migrates from everywhere, does not drift from its catalogue, and installs as often as one likes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from cli.doctor.examinations import examine
from shared.audit.reading import ActFilter, acts_after
from shared.audit.writing import record_act
from shared.postgres.engine import transaction
from shared.postgres.schema import SCHEMA_REVISION
from sql.catalogue import CATALOGUE, differences, read_catalogue
from sql.migrate import alembic_config, head_revision, upgrade
from sql.refusals import MigrationRefused

REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]


@pytest.fixture
def empty(make_database: Callable[..., str]) -> Iterator[Engine]:
    """A database without a schema."""
    engine = create_engine(make_database(migrated=False))
    yield engine
    engine.dispose()


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_upgrade_reaches_head_from_every_revision(empty: Engine, revision: str | None) -> None:
    """Whatever revision a database is at, one upgrade brings it to the newest, which this code needs."""
    if revision is not None:
        upgrade(empty, revision)
    assert upgrade(empty) == (revision, head_revision())
    assert head_revision() == SCHEMA_REVISION


def test_a_failed_upgrade_leaves_the_database_as_it_was(empty: Engine) -> None:
    """All steps are one transaction: of a migration that stops half way nothing is left."""
    with transaction(empty) as connection:
        connection.execute(text("CREATE SCHEMA predictq; CREATE VIEW predictq.job_status AS SELECT 1 AS one"))
    with pytest.raises(Exception, match="job_status"):
        upgrade(empty)
    with transaction(empty) as connection:
        query = "SELECT relname FROM pg_class WHERE relnamespace = 'predictq'::regnamespace"
        assert connection.execute(text(query)).scalars().all() == ["job_status"]


def test_a_database_in_another_cluster_begins_a_new_epoch(empty: Engine) -> None:
    """After a restore elsewhere old lines of the audit log are read as ever, and new ones after them."""

    def installation() -> tuple[int, str]:
        with transaction(empty) as connection:
            query = "SELECT epoch, system_identifier FROM predictq.installation"
            epoch, cluster = connection.execute(text(query)).one()
        return epoch, cluster

    upgrade(empty)
    upgrade(empty)
    epoch, cluster = installation()
    assert epoch == 1
    with transaction(empty) as connection:  # as it was in a cluster that had seen many more transactions
        connection.execute(text("UPDATE predictq.installation SET system_identifier = '7'"))
        connection.execute(
            text("""INSERT INTO predictq.audit_log (actor_kind, actor, action, xid)
                    VALUES ('person', 'ann', 'old', '4000000000')""")
        )
    with transaction(empty) as connection:
        assert acts_after(connection, ActFilter(), limit=10) == []
    upgrade(empty)
    assert installation() == (2, cluster)
    with transaction(empty) as connection:
        record_act(connection, "person", "ann", "new")
    with transaction(empty) as connection:
        acts = acts_after(connection, ActFilter(), limit=10)
        assert [act.action for act in acts] == ["old", "new"]
        assert [act.action for act in acts_after(connection, ActFilter(), limit=10, after=acts[0].place)] == ["new"]
    upgrade(empty)
    assert installation() == (2, cluster)


def test_the_schema_does_not_drift(engine: Engine) -> None:
    """A migrated database is as sql/catalogue.txt says. Where a change was meant: `make catalogue`, and look at it."""
    with transaction(engine) as connection:
        found = differences(read_catalogue(connection), CATALOGUE.read_text(encoding="utf-8").splitlines())
    assert found == [], "the schema is not as sql/catalogue.txt says; if that was meant, run: make catalogue"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP INDEX predictq.batch_outputs_newest", "- index batch_outputs."),
        ("ALTER TABLE predictq.jobs ADD COLUMN more text", "+ column jobs.more text"),
        ("ALTER TABLE predictq.api_keys ALTER COLUMN owner DROP NOT NULL", "- column api_keys.owner text not null"),
        ("ALTER TABLE predictq.api_keys ALTER COLUMN note SET DEFAULT 'x'", "+ column api_keys.note text default 'x'"),
        ("DROP TRIGGER append_only ON predictq.batch_outputs", "- trigger batch_outputs.append_only"),
        ("ALTER TABLE predictq.jobs DROP CONSTRAINT jobs_ended_has_time", "- constraint jobs.jobs_ended_has_time"),
        (
            "CREATE OR REPLACE FUNCTION predictq.row_of(request_id text) RETURNS integer LANGUAGE sql RETURN 1",
            "+ definition of function row_of",
        ),
        (
            "CREATE OR REPLACE VIEW predictq.job_status AS SELECT * FROM predictq.job_status LIMIT 1",
            "+ definition of view job_status",
        ),
        (
            "ALTER TABLE predictq.batch_requests ALTER COLUMN given SET STATISTICS 9",
            "+ column batch_requests.given text[]",
        ),
    ],
)
def test_each_kind_of_drift_is_told(engine: Engine, change: str, told: str) -> None:
    """An index, a column, a default, a guard, a constraint, a function, a view: whatever differs is named."""
    with engine.connect() as connection:
        connection.execute(text(change))
        found = differences(read_catalogue(connection), CATALOGUE.read_text(encoding="utf-8").splitlines())
        connection.rollback()
    assert any(line.startswith(told) for line in found), found


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ("ALTER TABLE predictq.batch_requests DROP COLUMN gone_rows CASCADE", "batch_requests.gone_rows"),
        ("DROP TABLE predictq.samples CASCADE", "samples, samples."),
    ],
)
def test_a_schema_of_the_same_revision_that_lacks_something_is_refused(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, change: str, lost: str
) -> None:
    """In one line that names it and says what to do, by `migrate` and by `doctor`, before anything else fails."""
    with transaction(engine) as connection:
        connection.execute(text(change))
    with pytest.raises(MigrationRefused, match=re.escape(f"lacks {lost}")) as refused:
        upgrade(engine)
    assert "use a new database" in str(refused.value)
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    schema = next(finding for finding in examine() if finding.name == "schema")
    assert not schema.ok
    assert f"lacks {lost}" in schema.detail


def test_no_table_is_dropped_by_mistake(engine: Engine) -> None:
    """A script that begins with DROP TABLE IF EXISTS, in a shell that finds predictq's tables, loses nothing of it."""
    with engine.connect() as connection:
        named = "SELECT relname FROM pg_class WHERE relnamespace = 'predictq'::regnamespace AND relkind IN ('r', 'p')"
        for table in connection.execute(text(f"{named} AND NOT relispartition")).scalars().all():
            with pytest.raises(DBAPIError, match="other objects depend on"), connection.begin_nested():
                connection.execute(text(f'DROP TABLE IF EXISTS predictq."{table}"'))
    with transaction(engine) as connection:
        connection.execute(text("DROP VIEW predictq.kept"))
    upgrade(engine)  # as it does with a database that was made before there was one
    with engine.connect() as connection:
        assert connection.execute(text("SELECT to_regclass('predictq.kept') IS NOT NULL")).scalar_one()


def test_partitions_are_no_drift(engine: Engine) -> None:
    """However many partitions there are, the catalogue is the same."""
    with transaction(engine) as connection:
        before = read_catalogue(connection)
        connection.execute(text("SELECT predictq.make_batch_partitions(12), predictq.make_job_partitions('20 weeks')"))
        assert read_catalogue(connection) == before
