"""Lists of jobs among very many: right by status, and read from ranges of indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from shared.jobs.records import read_jobs
from shared.postgres.engine import make_engine
from shared.status import JobStatus
from tests.integration.jobs.jobs_support import list_jobs
from tests.roles import service_settings
from tests.support import add_model

OWNERS = ("many", "waiting", "few")
MOST_READ: dict[object, int] = {
    JobStatus.QUEUED: 25_000,  # the rows of two hundred batches that wait
    ("waiting", JobStatus.SUCCEEDED): 130_000,  # what succeeded is looked for behind all that waits
}


@pytest.fixture(scope="module", params=[550, 800])
def crowd(request: pytest.FixtureRequest, make_database: Callable[..., str], module_redis_url: str) -> Iterator[Engine]:
    """Single jobs: 40,000 of `many` answered, 15,000 or 40,000 of `waiting` queued, and of `few` one in each state.

    Beside them 30 bulk jobs of `many` with 300 batches each: ten untouched, ten begun, ten ended.
    """
    settings = service_settings(make_database(), module_redis_url)
    engine = make_engine(settings, application_name="test", pool_size=2)
    add_model(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(_SINGLES.replace("LAST", str(request.param - 1)))
        connection.exec_driver_sql(_BULK)
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("VACUUM ANALYZE")
    yield engine
    engine.dispose()


# Batches of 100, of which `few` have the first row of five: answered, failed, cancelled, running and queued.
_SINGLES = """
CREATE FUNCTION id_of(n integer, kind text) RETURNS uuid LANGUAGE sql AS
    $$ SELECT overlay(predictq.first_uuid_of(now() - interval '1 hour' + n * interval '10 ms')::text
                      placing kind from 36)::uuid $$;
CREATE TABLE rows AS
SELECT b, r, id_of(b * 100 + r, '1') AS id, b >= 400 AS is_open, b = 400 AS is_running,
       CASE WHEN r = 0 AND b IN (100, 200, 300, 400, 500) THEN 'few' WHEN b < 400 THEN 'many'
            ELSE 'waiting' END AS owner,
       CASE WHEN r = 0 AND b = 200 THEN 'failed' WHEN r = 0 AND b = 300 THEN 'cancelled' END AS status
FROM generate_series(0, LAST) b, generate_series(0, 99) r;
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count, status, finished_at,
                           cancelled_at)
SELECT id, 'single', owner, 1, b + 1, r, 1, status, CASE WHEN status IS NOT NULL THEN now() END,
       CASE WHEN status = 'cancelled' THEN now() END FROM rows;
INSERT INTO predictq.batch_requests (batch_id, request_count, job_ids, keys_int8)
SELECT b + 1, 100, array_agg(id ORDER BY r), array_agg(r::bigint ORDER BY r) FROM rows GROUP BY b;
INSERT INTO predictq.batch_outputs (batch_id, model_version_id, fence, attempts, request_count, succeeded, failed,
                                    cancelled, claimed_at, threshold, worker, "values", error_rows, error_codes,
                                    error_details)
SELECT DISTINCT b + 1, 1, 1, 1, 100, 99, 1, 0, now(), 0.5, 'w', array_fill(0.5::float8, ARRAY[100]), '{0}'::int[],
       '{model_failed}'::text[], '{bad}'::text[] FROM rows WHERE NOT is_open;
INSERT INTO predictq.prediction_batches (id, queue, model_version_id, request_count, created_at, status, worker, fence,
                                         lease_until, claimed_at)
SELECT DISTINCT b + 1, 'interactive', 1, 100, now() - interval '1 hour' + b * interval '1 s',
       CASE WHEN is_running THEN 'running' ELSE 'queued' END, 'w', 1,
       CASE WHEN is_running THEN now() + interval '1 day' END, CASE WHEN is_running THEN now() END
FROM rows WHERE is_open;
"""

_BULK = """
CREATE TABLE bulk AS SELECT n, id_of(n * 1000, '2') AS id, 10000 + n * 300 AS first FROM generate_series(0, 29) n;
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, first_batch_id, status, finished_at,
                           succeeded, failed, cancelled)
SELECT id, 'bulk', 'many', 1, 300, first, CASE WHEN n >= 20 THEN 'succeeded' END, CASE WHEN n >= 20 THEN now() END,
       300, 0, 0 FROM bulk;
INSERT INTO predictq.batch_outputs (batch_id, job_id, model_version_id, fence, attempts, request_count, succeeded,
                                    failed, cancelled, claimed_at, threshold, worker, "values")
SELECT first + m, id, 1, 1, 1, 1, 1, 0, 0, now(), 0.5, 'w', '{0.5}'
FROM bulk, generate_series(0, 299) m WHERE n >= 20 OR (n >= 10 AND m < 150);
INSERT INTO predictq.prediction_batches (id, queue, job_id, owner, model_version_id, request_count)
SELECT first + m, 'bulk', id, 'many', 1, 1 FROM bulk, generate_series(0, 299) m WHERE n < 10 OR (n < 20 AND m >= 150);
"""


def counts(connection: Connection) -> tuple[int, int]:
    """Rows read in this transaction: of whole tables, and by indexes."""
    sequential, by_index = connection.execute(
        text("""SELECT sum(seq_tup_read), sum(coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
                WHERE schemaname = 'predictq'""")
    ).one()
    return int(sequential), int(by_index)


@pytest.mark.parametrize("status", [None, *JobStatus])
@pytest.mark.parametrize("owner", OWNERS)
def test_a_list_is_right_and_reads_what_it_gives(crowd: Engine, owner: str, status: JobStatus | None) -> None:
    """Newest first, each as it stands; not a table as a whole, and few rows for each job that is listed."""
    with crowd.connect() as connection:
        before = counts(connection)
        found = list_jobs(connection, owner, limit=50, status=status)
        sequential, by_index = (now - then for now, then in zip(counts(connection), before, strict=True))
        expected = [row for row in all_of(connection, owner) if status is None or row[1] == status]
    assert [(job.job_id, job.status.value) for job in found] == expected[:50]
    assert sequential < 100  # the one model version, again and again
    assert by_index < MOST_READ.get((owner, status), MOST_READ.get(status, 4_000))


def all_of(connection: Connection, owner: str) -> list[tuple[object, str]]:
    """Each job of an owner with its status, as the view for people has it."""
    query = text("SELECT job_id, status FROM predictq.job_status WHERE owner = :owner ORDER BY job_id DESC")
    return [(job_id, status) for job_id, status in connection.execute(query, {"owner": owner})]


def test_pages_of_a_list_have_no_gap(crowd: Engine) -> None:
    """Going on from the last job of each page gives each job once."""
    with crowd.connect() as connection:
        for owner, status in (("many", JobStatus.RUNNING), ("few", None), ("waiting", JobStatus.QUEUED)):
            whole = list_jobs(connection, owner, limit=200, status=status)
            parts = []
            while len(parts) < len(whole):
                before = parts[-1].job_id if parts else None
                parts += list_jobs(connection, owner, limit=7, before=before, status=status)
            assert parts[: len(whole)] == whole


def test_reading_jobs_says_what_the_view_says(crowd: Engine) -> None:
    """The gateway's own reading of a job, and what people see of it in SQL, are the same."""
    with crowd.connect() as connection:
        for owner in OWNERS:
            shown = connection.execute(
                text("""SELECT job_id, kind, status, model_version, request_count, succeeded, failed, cancelled,
                               started_at, finished_at, cancelled_at FROM predictq.job_status
                        WHERE owner = :owner ORDER BY job_id DESC LIMIT 150"""),
                {"owner": owner},
            ).all()
            jobs = read_jobs(connection, [row.job_id for row in shown])
            assert [
                (j.job_id, j.kind, j.status, j.model_version, j.total, j.succeeded, j.failed, j.cancelled,
                 j.started_at, j.finished_at, j.cancelled_at)
                for j in (jobs[row.job_id] for row in shown)
            ] == [tuple(row) for row in shown]  # fmt: skip
