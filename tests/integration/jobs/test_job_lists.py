"""Lists of jobs: right in every status, in parts without gap or overlap, and an index range however many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text
from uuid_utils.compat import uuid7

from shared.batches.claims import Claim
from shared.jobs.accepting.bulk import accept_selection
from shared.jobs.accepting.singles import Accepted
from shared.jobs.planning import PlannedPage, end_plan, give_back_plan, read_selection, write_pages
from shared.jobs.records import JobRecord, read_jobs
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus, Queue
from tests.integration.jobs.jobs_support import answer, cancel, list_jobs, take
from tests.integration.jobs.plan_support import blocks_of, plans_of, scanned_whole
from tests.integration.stored.upkeep_support import make_week
from tests.support import OWNER, bulk_job, submit_bulk, submit_singles

_MANY = 50_000


def ids(engine: Engine, status: JobStatus | None = None, *, limit: int = 100, before: UUID | None = None) -> list[UUID]:
    with autocommit(engine) as connection:
        return [job.job_id for job in list_jobs(connection, OWNER, limit=limit, before=before, status=status)]


def one_of_each(engine: Engine) -> dict[str, list[UUID]]:
    """Jobs in every status, single and bulk, by status; newest first."""
    found: dict[str, list[UUID]] = {}

    def note(status: str, *jobs: Accepted) -> None:
        found[status] = [job.job_id for job in reversed(jobs)] + found.get(status, [])

    failed, succeeded, cancelled = submit_singles(engine, [1, 2, 3])
    held = take(engine, Queue.INTERACTIVE)
    cancel(engine, cancelled.job_id)
    answer(engine, held, errors=1)
    note("failed", failed)
    note("succeeded", succeeded)
    note("cancelled", cancelled)
    for errors, status in ((0, "succeeded"), (1, "succeeded"), (2, "failed")):
        note(status, submit_bulk(engine, [1, 2]))
        answer(engine, take(engine), errors=errors)
    note("cancelled", submit_bulk(engine, [1]))
    cancel(engine, found["cancelled"][0])
    half = submit_bulk(engine, [1, 2], batch_rows=1)
    answer(engine, take(engine))  # one batch has ended, the other was never claimed
    claimed = submit_bulk(engine, [1])
    take(engine), take(engine)
    single = submit_singles(engine, [4])[0]
    take(engine, Queue.INTERACTIVE)
    planned, given_back = (accept_selection(engine, bulk_job(engine, batch_rows=10), {}) for _ in range(2))
    plan(engine, take(engine, Queue.PLAN))
    give_back_plan(engine, take(engine, Queue.PLAN))  # claimed once, and waiting again
    note("running", half, claimed, single, planned, given_back)
    waiting = [submit_bulk(engine, [1]), submit_singles(engine, [5])[0]]
    waiting.append(accept_selection(engine, bulk_job(engine, batch_rows=10), {}))
    note("queued", *waiting)
    return found


def plan(engine: Engine, held: Claim) -> None:
    """Plan a job of one batch, which then waits."""
    pages = [PlannedPage(b"1,2", 2, "2")]
    write_pages(engine, held, read_selection(engine, held), pages, is_new_reading=True, lease=60)
    end_plan(engine, held, is_new_reading=False)


def test_each_list_holds_exactly_the_jobs_that_stand_so(ready: Engine) -> None:
    """By status, singles and bulk jobs and selections alike; newest first; all lists together are the whole list."""
    expected = one_of_each(ready)
    assert {status.value: ids(ready, status) for status in JobStatus} == expected
    assert ids(ready) == sorted((job_id for jobs in expected.values() for job_id in jobs), reverse=True)
    with autocommit(ready) as connection:
        for status in JobStatus:
            listed = list_jobs(connection, OWNER, limit=100, status=status)
            assert {job.status for job in listed} == {status}
            assert {job.job_id: job for job in listed} == read_jobs(connection, [job.job_id for job in listed])


def test_jobs_with_an_error_and_jobs_without_are_listed_apart(ready: Engine) -> None:
    """Of those that have ended, in every status; both lists together are all of them."""
    stopped = submit_bulk(ready, [1, 2], batch_rows=1).job_id
    answer(ready, take(ready), errors=1)
    cancel(ready, stopped)
    one_of_each(ready)
    with autocommit(ready) as connection:
        ended = [job for job in list_jobs(connection, OWNER, limit=100) if job.status.is_terminal]
    assert stopped in {job.job_id for job in ended if job.failed and job.status is JobStatus.CANCELLED}
    for status in (None, *JobStatus):
        of_status = [job for job in ended if status in (None, job.status)]
        for has_errors in (True, False):
            wanted = [job.job_id for job in of_status if bool(job.failed) == has_errors]
            for limit in (1, 100):
                assert in_parts(ready, status, has_errors, limit) == wanted, (status, has_errors)


def in_parts(engine: Engine, status: JobStatus | None, has_errors: bool, limit: int) -> list[UUID]:
    listed: list[UUID] = []
    with autocommit(engine) as connection:
        read = partial(list_jobs, connection, OWNER, limit=limit, status=status, has_errors=has_errors)
        while part := read(before=listed[-1] if listed else None):
            listed += [job.job_id for job in part]
    return listed


@pytest.mark.parametrize("status", [None, *JobStatus])
def test_parts_follow_each_other_without_gap_or_overlap(ready: Engine, status: JobStatus | None) -> None:
    """One after another, each from where the last one ended."""
    one_of_each(ready)
    whole, parts = ids(ready, status), list[UUID]()
    while part := ids(ready, status, limit=2, before=parts[-1] if parts else None):
        assert len(part) <= 2
        parts += part
    assert parts == whole


# Bulk jobs of so many days ago, every third failed and every third cancelled. Lists go through some weeks first, then
# through more, then through all.
_AGES = (0, 1, 13, 14, 15, 40, 69, 70, 71, 72, 100, 400, 800)
_OLD_BULK = """
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, status, finished_at, cancelled_at,
                           first_batch_id, succeeded, failed, cancelled)
SELECT id, 'bulk', :owner, (SELECT max(v.id) FROM predictq.model_versions v), 1, status, now(),
       CASE WHEN status = 'cancelled' THEN now() END, 1, (status = 'succeeded')::integer, (status = 'failed')::integer,
       (status = 'cancelled')::integer
FROM (
    SELECT predictq.first_uuid_of(now() - age * interval '1 day' - interval '1 minute') AS id,
           (ARRAY['succeeded', 'failed', 'cancelled'])[1 + n % 3] AS status
    FROM unnest(CAST(:ages AS integer[])) WITH ORDINALITY u (age, n)
) old
"""


def test_jobs_of_many_weeks_are_listed_without_gap_or_overlap(ready: Engine) -> None:
    """From whichever job on, and however few at a time; an id of no time at all is before all."""
    for age in _AGES:
        make_week(ready, datetime.now(UTC) - timedelta(days=age, minutes=1))
    with transaction(ready) as connection:
        connection.execute(text(_OLD_BULK), {"ages": list(_AGES), "owner": OWNER})
        stored = connection.execute(text("SELECT id, status FROM predictq.jobs ORDER BY id DESC")).all()
    assert len(stored) == len(_AGES)
    for status in (None, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED):
        whole = [job_id for job_id, word in stored if status is None or word == status.value]
        for limit in (1, 2, 100):
            parts = list[UUID]()
            while part := ids(ready, status, limit=limit, before=parts[-1] if parts else None):
                parts += part
            assert parts == whole
        for before in (*(job_id for job_id, _ in stored), UUID(int=0), UUID(int=1 << 80), UUID(int=2**128 - 1)):
            assert ids(ready, status, before=before) == [job_id for job_id in whole if job_id < before]


def test_jobs_far_apart_are_read_without_those_between(ready: Engine) -> None:
    """A list of a year of weekly jobs, with tens of thousands of single jobs in the weeks between."""
    ages = [7 * week for week in range(52)]
    for age in ages:
        make_week(ready, datetime.now(UTC) - timedelta(days=age, minutes=1))
    with transaction(ready) as connection:
        connection.execute(text(_OLD_BULK), {"ages": ages, "owner": OWNER})
        weekly = connection.execute(text("SELECT id FROM predictq.jobs")).scalars().all()
        connection.execute(text(_BETWEEN))
    with transaction(ready) as connection:
        connection.execute(text("ANALYZE"))
    assert blocks_of(ready, lambda connection: read_jobs(connection, list(weekly))) < 50 * len(weekly)


_BETWEEN = f"""
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count)
SELECT overlay(gen_random_uuid()::text PLACING
               left(predictq.first_uuid_of(now() - make_interval(days => 180 + n % 21, secs => n))::text, 14)
               FROM 1)::uuid,
       'single', 'owner 7', (SELECT max(v.id) FROM predictq.model_versions v), 1 + n / 30, n % 30, 1
FROM generate_series(1, {_MANY}) n
"""


@pytest.mark.parametrize("status", [None, *JobStatus])
def test_nobody_sees_anothers_jobs(ready: Engine, status: JobStatus | None) -> None:
    """Also where single jobs of several owners share a batch."""
    one_of_each(ready)
    with autocommit(ready) as connection:
        assert list_jobs(connection, "stranger", limit=100, status=status) == []


# Job ids as the gateway makes them, a millisecond apart and all older than now. Of 100 owners the first two have a job
# in a hundred each; every seventh job has failed, every eleventh was cancelled; singles, ten to a page, and bulk jobs.
_OLD_JOBS = f"""
CREATE TEMPORARY TABLE old AS
SELECT overlay(gen_random_uuid()::text PLACING
               left(predictq.first_uuid_of(now() - make_interval(secs => n / 1000.0))::text, 14) FROM 1)::uuid AS id,
       n, 'owner ' || n % 100 AS owner, n % 2 = 0 AS is_single,
       CASE WHEN n % 7 = 0 THEN 'failed' WHEN n % 11 = 0 THEN 'cancelled' ELSE 'succeeded' END AS status
FROM generate_series(1, {_MANY}) n;
CREATE TEMPORARY TABLE pages AS
SELECT nextval('predictq.batch_ids') AS batch_id, array_agg(id ORDER BY n) AS ids,
       array_agg(owner ORDER BY n) AS owners, array_agg(status ORDER BY n) AS statuses
FROM old WHERE is_single GROUP BY n / 20;
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count, status, finished_at,
                           cancelled_at)
SELECT u.id, 'single', u.owner, 1, p.batch_id, u.n - 1, 1, nullif(u.status, 'succeeded'),
       CASE WHEN u.status <> 'succeeded' THEN now() END, CASE WHEN u.status = 'cancelled' THEN now() END
FROM pages p CROSS JOIN LATERAL unnest(p.ids, p.owners, p.statuses) WITH ORDINALITY AS u (id, owner, status, n);
INSERT INTO predictq.batch_requests (batch_id, request_count, job_ids, keys_int8)
SELECT batch_id, cardinality(ids), ids, array_fill(1, ARRAY[cardinality(ids)]) FROM pages;
INSERT INTO predictq.batch_outputs (batch_id, model_version_id, fence, attempts, request_count, succeeded, failed,
                                    cancelled, worker, "values", threshold)
SELECT batch_id, 1, 1, 1, cardinality(ids), cardinality(ids), 0, 0, 'w',
       array_fill(0.5::float8, ARRAY[cardinality(ids)]), 0.5 FROM pages;
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, status, finished_at, cancelled_at,
                           first_batch_id, succeeded, failed, cancelled)
SELECT id, 'bulk', owner, 1, 1, status, now(), CASE WHEN status = 'cancelled' THEN now() END, n,
       (status = 'succeeded')::integer, (status = 'failed')::integer, (status = 'cancelled')::integer
FROM old WHERE NOT is_single;
"""
_OPEN_JOBS = f"""
WITH j AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, request_count, first_batch_id)
    SELECT overlay(gen_random_uuid()::text PLACING left(predictq.first_uuid_of(now())::text, 14) FROM 1)::uuid,
           'bulk', 'busy ' || n % 20, 1, 1, 1 FROM generate_series(1, {_MANY // 5}) n RETURNING id, owner
)
INSERT INTO predictq.prediction_batches (job_id, owner, queue, model_version_id, request_count)
SELECT id, owner, 'bulk', 1, 1 FROM j
"""


@pytest.fixture
def crowded(ready: Engine) -> Engine:
    """Tens of thousands of jobs that have ended, and thousands that wait."""
    with transaction(ready) as connection:
        connection.execute(text(_OLD_JOBS))
        connection.execute(text(_OPEN_JOBS))
    with transaction(ready) as connection:
        connection.execute(text("ANALYZE"))
    return ready


def test_reading_jobs_reads_an_index_range_however_many_there_are(crowded: Engine) -> None:
    """Status and lists read the jobs asked for: no table, and no partition of one, from end to end."""
    bulk, (single,) = submit_bulk(crowded, [1]), submit_singles(crowded, [1])
    with autocommit(crowded) as connection:
        ends = (
            connection.execute(text("SELECT id FROM predictq.jobs WHERE owner = 'owner 7' ORDER BY id")).scalars().all()
        )
    asked = {
        "far apart": lambda connection: read_jobs(connection, [ends[0], ends[1], *ends[-2:], bulk.job_id]),
        "two jobs": lambda connection: read_jobs(connection, [bulk.job_id, single.job_id]),
        "all": lambda connection: list_jobs(connection, "owner 7", limit=20),
        "older": lambda connection: list_jobs(connection, "owner 7", limit=20, before=uuid7()),
        "partly failed": lambda connection: list_jobs(
            connection, "owner 7", limit=20, status=JobStatus.SUCCEEDED, has_errors=True
        ),
        "with errors": lambda connection: list_jobs(connection, "owner 7", limit=20, has_errors=True),
        "without": lambda connection: list_jobs(connection, "owner 7", limit=20, has_errors=False),
    } | {status.value: partial(list_some, status=status) for status in JobStatus}
    found = {}
    for name, ask in asked.items():
        assert {table for nodes in plans_of(crowded, ask) for table in scanned_whole(nodes)} == set(), name
        found[name] = blocks_of(crowded, ask)
    # Of an owner with 500 open jobs each is looked at to find those that run. All others are found in an index: of an
    # owner with 500 jobs, who lists her failures does not read her successes.
    assert found.pop("running") < 25_000
    assert found.pop("queued") < 2_500
    assert max(found.values()) < 600, str(found)


def list_some(connection: Connection, status: JobStatus) -> list[JobRecord]:
    return list_jobs(connection, owner_of(status), limit=20, status=status)


def owner_of(status: JobStatus) -> str:
    return "busy 7" if status in (JobStatus.QUEUED, JobStatus.RUNNING) else "owner 7"


def test_the_jobs_of_the_crowd_are_listed_right(crowded: Engine) -> None:
    """What the plans were looked at for is what the lists say."""
    with autocommit(crowded) as connection:
        listed: dict[str, list[JobRecord]] = {
            status.value: list_jobs(connection, owner_of(status), limit=1000, status=status) for status in JobStatus
        }
    assert {status: len(jobs) for status, jobs in listed.items()} == {
        "queued": 500,
        "running": 0,
        "succeeded": len([n for n in range(7, _MANY + 1, 100) if n % 7 and n % 11]),
        "failed": len([n for n in range(7, _MANY + 1, 100) if n % 7 == 0]),
        "cancelled": len([n for n in range(7, _MANY + 1, 100) if n % 7 and n % 11 == 0]),
    }


@pytest.fixture
def of_one_owner(ready: Engine) -> Engine:
    """Tens of thousands of jobs, all of one owner, in the order of their ids."""
    with transaction(ready) as connection:
        connection.execute(
            text(f"""
INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count)
SELECT overlay(gen_random_uuid()::text PLACING
               left(predictq.first_uuid_of(now() - make_interval(secs => n / 1000.0))::text, 14) FROM 1)::uuid,
       'single', 'owner 7', 1, 0, n, 1 FROM generate_series({_MANY}, 1, -1) n
""")
        )
    with transaction(ready) as connection:
        connection.execute(text("ANALYZE"))
    return ready


@pytest.mark.parametrize("status", [None, *JobStatus])
def test_the_list_of_another_owner_does_not_read_all_jobs(of_one_owner: Engine, status: JobStatus | None) -> None:
    """Also where nearly all jobs are one owner's, and the plan was made for hers."""
    (job,) = submit_singles(of_one_owner, [1])
    assert ids(of_one_owner, status) == ([job.job_id] if status in (None, JobStatus.QUEUED) else [])
    assert blocks_read(of_one_owner, "owner 7", status) < 400
    assert blocks_read(of_one_owner, "stranger", status) < 100


def blocks_read(engine: Engine, owner: str, status: JobStatus | None) -> int:
    """How many blocks PostgreSQL looked at to find which jobs belong to a list."""
    values = {"owner": owner, "status": status and status.value, "before": str(UUID(int=2**128 - 1)), "limit": 20}
    find = text("SELECT predictq.find_jobs(:owner, CAST(:status AS text), CAST(:before AS uuid), :limit)")
    return blocks_of(engine, lambda connection: connection.execute(find, values))
