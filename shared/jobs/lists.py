"""Lists of an owner's jobs, newest first.

Which jobs belong to a list is found first, in indexes alone; only then is read how each of them stands. What makes that
hard is a single job that succeeds: nothing is written into its row, because that would cost as much as its answer.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, text

from shared.jobs.records import JobRecord, read_jobs
from shared.status import JobStatus


def list_jobs(
    connection: Connection, owner: str, *, limit: int, before: UUID | None = None, status: JobStatus | None = None
) -> list[JobRecord]:
    """At most `limit` jobs of `owner`, newest first, older than `before`; ids are UUIDv7, so id order is age order.

    A job that changes meanwhile is shown as it stands now.
    """
    values = {"owner": owner, "before": str(before or _NEWEST), "status": status and status.value, "limit": limit}
    found: list[UUID] = list(connection.execute(_FIND[status], values).scalars())
    jobs = read_jobs(connection, found) if found else {}
    return [jobs[job_id] for job_id in found if job_id in jobs]


_NEWEST = UUID(int=2**128 - 1)
_MINE = "j.owner = :owner AND j.id < CAST(:before AS uuid)"
_PAGE = "ORDER BY id DESC LIMIT :limit"

_ALL = f"SELECT j.id FROM predictq.jobs j WHERE {_MINE} {_PAGE}"

_ENDED_BADLY = f"SELECT j.id FROM predictq.jobs j WHERE {_MINE} AND j.status = :status {_PAGE}"

# Of single jobs what is neither failed nor cancelled nor open has succeeded.
_SUCCEEDED = f"""
SELECT j.id FROM predictq.jobs j
WHERE {_MINE} AND (j.status = 'succeeded' OR (
    j.status IS NULL AND j.kind = 'single'
    AND NOT EXISTS (SELECT FROM predictq.prediction_batches b WHERE b.id = j.batch_id)))
{_PAGE}
"""

# A job's plan is its first batch. Scalar subqueries, because an EXISTS under OR may be hashed, which reads all open
# batches.
_HAS_BEGUN = """(
    j.started_at IS NOT NULL
    OR (SELECT b.claimed_at FROM predictq.prediction_batches b WHERE b.id = j.first_batch_id) IS NOT NULL
    OR (SELECT true FROM predictq.prediction_batches b WHERE b.job_id = j.id AND b.status = 'running' LIMIT 1)
       IS NOT NULL
    OR (SELECT true FROM predictq.batch_outputs o WHERE o.job_id = j.id AND o.batch_id >= j.first_batch_id LIMIT 1)
       IS NOT NULL)"""

_OPEN_BULK = f"""
SELECT j.id FROM predictq.jobs j
WHERE {_MINE} AND j.kind = 'bulk' AND j.status IS NULL AND {{}} {_HAS_BEGUN} {_PAGE}
"""

# The rows of these batches, newest first, until enough of them are the owner's. LIMIT keeps PostgreSQL from reading all
# pages and all jobs to join them.
_ROWS_OF_BATCHES = f"""
SELECT o.id FROM (
    SELECT u.id FROM predictq.prediction_batches b
    CROSS JOIN LATERAL (SELECT r.job_ids FROM predictq.batch_requests r WHERE r.batch_id = b.id LIMIT 1) r
    CROSS JOIN LATERAL unnest(r.job_ids) AS u (id)
    WHERE b.status = '{{}}' AND b.queue = 'interactive' AND u.id < CAST(:before AS uuid)
    ORDER BY u.id DESC
) u CROSS JOIN LATERAL (
    SELECT j.id FROM predictq.jobs j WHERE j.id = u.id AND j.owner = :owner AND j.status IS NULL LIMIT 1
) o {_PAGE}
"""

# Few batches run at a time.
_RUNNING = f"""
WITH bulk AS ({_OPEN_BULK.format("")}), singles AS ({_ROWS_OF_BATCHES.format("running")})
SELECT id FROM (SELECT id FROM bulk UNION ALL SELECT id FROM singles) open {_PAGE}
"""

# Where many batches wait, the owner's jobs are gone through instead, newest first, as far back as the oldest batch that
# waits. Ids are made up to some seconds before their batch.
_MANY = 200
_WAITING = "FROM predictq.prediction_batches b WHERE b.status = 'queued' AND b.queue = 'interactive'"
_QUEUED = f"""
WITH bulk AS ({_OPEN_BULK.format("NOT")}), waiting AS MATERIALIZED (
    SELECT (SELECT count(*) FROM (SELECT {_WAITING} LIMIT {_MANY + 1}) b) > {_MANY} AS are_many,
           predictq.first_uuid_of(
               (SELECT b.created_at {_WAITING} ORDER BY b.id LIMIT 1) - interval '15 seconds') AS first_id
), of_few AS (
    SELECT o.id FROM ({_ROWS_OF_BATCHES.format("queued")}) o WHERE NOT (SELECT w.are_many FROM waiting w)
), of_many AS (
    SELECT j.id FROM predictq.jobs j
    WHERE {_MINE} AND j.id >= (SELECT w.first_id FROM waiting w) AND j.kind = 'single' AND j.status IS NULL
        AND EXISTS (SELECT FROM predictq.prediction_batches b WHERE b.id = j.batch_id AND b.status = 'queued')
        AND (SELECT w.are_many FROM waiting w)
    {_PAGE}
)
SELECT id FROM (SELECT id FROM bulk UNION ALL SELECT id FROM of_few UNION ALL SELECT id FROM of_many) open {_PAGE}
"""

_FIND = {
    status: text(query)
    for status, query in {
        None: _ALL,
        JobStatus.FAILED: _ENDED_BADLY,
        JobStatus.CANCELLED: _ENDED_BADLY,
        JobStatus.SUCCEEDED: _SUCCEEDED,
        JobStatus.RUNNING: _RUNNING,
        JobStatus.QUEUED: _QUEUED,
    }.items()
}
