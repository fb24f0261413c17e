"""A database of somebody else's: their tables keep their names and their rows, and ours do without `public`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, text

from devstack.servers.postgres import EmbeddedPostgres
from shared.database_role import DatabaseRole
from shared.jobs.accepting.bulk import accept_selection
from shared.jobs.records import cancel_job
from shared.postgres.engine import transaction
from shared.status import JobStatus, Queue
from sql.migrate import head_revision, old_install, upgrade
from sql.roles import make_roles
from tests.integration.worker.scoring_support import features_of, results, score, trace_of
from tests.models import right_answer
from tests.sample import create_clients_table
from tests.support import OWNER, ROOT, add_clients, add_model, bulk_job, job_of, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer

# Tables of ours by name, with other columns; a function and types that would be found first by a careless statement.
_THEIRS = """
CREATE TABLE public.clients (client_id text PRIMARY KEY, name text);
CREATE TABLE public.jobs (id integer PRIMARY KEY, title text);
CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY);
CREATE TABLE public.prediction_batches (what text);
CREATE TABLE public.prediction_requests (request_id bigint, at date);
CREATE TABLE public.models (name integer);
CREATE VIEW public.job_status AS SELECT 'theirs' AS status;
CREATE SEQUENCE public.batch_ids;
CREATE TYPE public.sources AS ENUM ('a', 'b');
CREATE FUNCTION public.finish(a bigint) RETURNS text LANGUAGE sql RETURN 'theirs';
CREATE FUNCTION public.batch_of(request_id text) RETURNS text LANGUAGE sql RETURN 'theirs';
INSERT INTO public.clients VALUES ('1', 'Ann');
INSERT INTO public.jobs VALUES (1, 'baker');
INSERT INTO public.alembic_version VALUES ('{revision}');
INSERT INTO public.prediction_requests VALUES (1, '2020-01-01');
"""
_STATE = """
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
    SELECT format('%s %s %s', c.relkind, c.relname, (
        SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, -1), ',' ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)) AS line
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'function ' || pg_get_functiondef(p.oid) FROM pg_proc p
              WHERE p.pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'trigger ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
              WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'client ' || c::text FROM public.clients c
    UNION ALL SELECT 'job ' || j::text FROM public.jobs j
    UNION ALL SELECT 'version ' || v::text FROM public.alembic_version v
    UNION ALL SELECT 'request ' || r::text FROM public.prediction_requests r
    UNION ALL SELECT 'sequence ' || last_value || is_called FROM public.batch_ids
) lines
"""


@pytest.fixture
def shared_database(revision: str, make_database: Callable[..., str]) -> Iterator[str]:
    """A database with somebody else's tables in `public`, whose revision may be called as one of ours."""
    url = make_database(migrated=False)
    engine = create_engine(url)
    run(engine, _THEIRS.format(revision=revision))
    yield url
    engine.dispose()


def run(engine: Engine, statement: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement))


def state(engine: Engine) -> str:
    """All that there is in `public`."""
    with transaction(engine) as connection:
        return str(connection.execute(text(_STATE)).scalar_one())


@pytest.fixture
def database_url(shared_database: str, postgres: EmbeddedPostgres) -> str:
    """What the fixtures of settings, engine and scorer use."""
    engine = create_engine(shared_database)
    before = state(engine)
    assert find(engine) is None
    assert upgrade(engine) == (None, head_revision())
    assert upgrade(engine) == (head_revision(),) * 2
    make_roles(engine, {role: postgres.url_of(role) for role in DatabaseRole})
    with transaction(engine) as connection:
        create_clients_table(connection)
    assert state(engine) == before
    engine.dispose()
    return shared_database


def find(engine: Engine) -> str | None:
    with transaction(engine) as connection:
        return old_install(connection)


@pytest.mark.parametrize(
    ("revision", "search_path"),
    [("00aa11bb22cc", "public"), ("0003", "public, predictq"), ("0003", "pg_catalog")],
)
@pytest.mark.usefixtures("revision")
def test_a_whole_life_beside_tables_of_the_same_names(engine: Engine, scorer: Scorer, search_path: str) -> None:
    """Migrated, filled, asked, scored, listed, cancelled and traced, whatever the search path: theirs is untouched."""
    before = state(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET search_path = {search_path}"))
    engine.dispose()
    scorer.engine.dispose()
    add_clients(engine, 3)
    add_model(engine)
    (single,) = submit_singles(engine, [1])
    bulk = submit_bulk(engine, [2, 99])
    stopped = accept_selection(engine, bulk_job(engine, batch_rows=10), {})
    with transaction(engine) as connection:
        assert cancel_job(connection, stopped.job_id, OWNER).status is JobStatus.CANCELLED
    assert score(scorer) == score(scorer, Queue.BULK) == ["finished"]
    assert job_of(engine, single.job_id).probability == right_answer(**features_of(1))
    assert [row.error_code for row in results(engine, bulk)] == [None, "unknown_client"]
    assert trace_of(engine, single.request_id).features == features_of(1)
    with transaction(engine) as connection:
        for view in ("prediction_requests", "prediction_outputs", "prediction_trace", "job_status"):
            assert connection.execute(text(f"SELECT count(*) FROM predictq.{view}")).scalar_one() == 3
        query = f"SELECT count(*) FROM predictq.prediction_trace('{single.request_id}')"
        assert connection.execute(text(query)).scalar_one() == 1
    assert state(engine) == before


# What the migrations 0001 to 0003 left in `public`, in their own words.
_OLD_TABLES = """
CREATE TABLE public.alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO public.alembic_version VALUES ('{revision}');
CREATE TABLE public.prediction_requests (
    request_id bigint PRIMARY KEY CHECK (request_id > 0),
    job_id uuid NOT NULL,
    client_id bigint,
    features jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT requests_one_source CHECK ((client_id IS NULL) <> (features IS NULL))
);
COMMENT ON TABLE public.prediction_requests IS
    'One row to score. Append-only. Ids are numbered in their batch: 4200007 is row 7 of batch 42.';
INSERT INTO public.prediction_requests VALUES (100000, gen_random_uuid(), 1);
"""


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_an_old_install_is_named_and_left_alone(make_database: Callable[..., str], revision: str) -> None:
    """Tables of before the pages are told of in words that say what to do; nothing is changed or converted."""
    engine = create_engine(make_database(migrated=False))
    run(engine, _OLD_TABLES.format(revision=revision))
    found = find(engine)
    assert found is not None
    for words in ("public", revision, "left as they are", "docs/upgrade.md"):
        assert words in found
    assert upgrade(engine) == (None, head_revision())
    assert find(engine) == found
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT request_id FROM public.prediction_requests")).scalar_one() == 100_000
        assert connection.execute(text("SELECT version_num FROM public.alembic_version")).scalar_one() == revision
    engine.dispose()


def test_migrate_tells_of_an_old_install(make_database: Callable[..., str]) -> None:
    """The command that migrates says so each time, and what it is told is no error."""
    url = make_database(migrated=False)
    engine = create_engine(url)
    run(engine, _OLD_TABLES.format(revision="0003"))
    engine.dispose()
    environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": "redis://localhost:1"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "sql"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert "left as they are" in done.stdout
        assert head_revision() in done.stdout
