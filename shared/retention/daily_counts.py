"""What stays of the jobs that went: figures per day, so that stored and gone still balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from shared.retention.partitions.weeks import DAY, DailyCount

_ADD = """
INSERT INTO predictq.daily_counts AS d
    (day, owner, model_version_id, kind, jobs, accepted, succeeded, failed, cancelled) {source}
ON CONFLICT (day, owner, model_version_id, kind) DO UPDATE SET
    jobs = d.jobs + excluded.jobs, accepted = d.accepted + excluded.accepted,
    succeeded = d.succeeded + excluded.succeeded, failed = d.failed + excluded.failed,
    cancelled = d.cancelled + excluded.cancelled
"""
_ADD_COUNTED = text(
    _ADD.format(source="VALUES (:day, :owner, :version_id, :kind, :jobs, :accepted, :succeeded, :failed, :cancelled)")
)
_GONE = f"""
    SELECT {DAY}, j.owner, j.model_version_id, j.kind, count(*), sum(j.request_count),
           sum(CASE j.kind WHEN 'bulk' THEN j.succeeded ELSE (j.status IS NULL)::integer END),
           sum(CASE j.kind WHEN 'bulk' THEN j.failed ELSE (j.status IS NOT DISTINCT FROM 'failed')::integer END),
           sum(CASE j.kind WHEN 'bulk' THEN j.cancelled ELSE (j.status IS NOT DISTINCT FROM 'cancelled')::integer END)
    FROM j GROUP BY 1, 2, 3, 4"""
# Deletes the jobs, their exports, and the idempotency keys that led to them: a key is stored in the transaction of its
# job, and so has its created_at, by which it is found.
_DELETE_JOBS = text(f"""
WITH j AS (
    DELETE FROM predictq.jobs WHERE id = ANY (CAST(:ids AS uuid[])) RETURNING *, tableoid::regclass::text AS week
), keys AS (
    DELETE FROM predictq.idempotency_keys k USING j WHERE k.created_at = j.created_at AND k.job_id = j.id
), files AS (
    DELETE FROM predictq.exports x USING j WHERE x.job_id = j.id
), counted AS ({_ADD.format(source=_GONE)})
SELECT count(*) AS jobs, coalesce(sum(request_count), 0)::bigint AS rows, array_agg(DISTINCT week) AS weeks FROM j
""")


def add_daily_counts(connection: Connection, counts: Sequence[DailyCount]) -> None:
    """Count what goes with a partition."""
    if counts:
        connection.execute(_ADD_COUNTED, [_values(count) for count in counts])


def _values(count: DailyCount) -> dict[str, Any]:
    return {name: getattr(count, name) for name in DailyCount.__slots__}


@dataclass(frozen=True, slots=True)
class DeletedJobs:
    """Jobs that went, their rows, and the partitions that they were in."""

    jobs: int
    rows: int
    tables: frozenset[str]


def delete_jobs(connection: Connection, job_ids: Sequence[str]) -> DeletedJobs:
    """Delete jobs whose pages go in this transaction, and count them."""
    jobs, rows, tables = connection.execute(_DELETE_JOBS, {"ids": list(job_ids)}).one()
    return DeletedJobs(jobs, rows, frozenset(tables or ()))


def count_rows_gone(connection: Connection, job_id: object, counts: Sequence[int]) -> None:
    """Take rows out of a bulk job that stays, and count them: how many had succeeded, failed, been cancelled.

    Its exports, which have these rows, go in the same act; one that is being written loses its next piece, too.
    """
    succeeded, failed, cancelled = counts
    values = {"id": str(job_id), "succeeded": succeeded, "failed": failed, "cancelled": cancelled}
    connection.execute(_TAKE_ROWS, {**values, "rows": sum(counts)})


def delete_exports_without_jobs(connection: Connection) -> None:
    """Delete the files of answers whose jobs went with a partition."""
    connection.execute(_DELETE_EXPORTS)


_DELETE_EXPORTS = text("""
DELETE FROM predictq.exports x
WHERE x.job_id IS NOT NULL AND NOT EXISTS (SELECT FROM predictq.jobs j WHERE j.id = x.job_id)
""")
_TAKE_ROWS = text(f"""
WITH j AS (
    UPDATE predictq.jobs SET request_count = request_count - :rows, succeeded = succeeded - :succeeded,
        failed = failed - :failed, cancelled = cancelled - :cancelled
    WHERE id = :id RETURNING *
), files AS (
    DELETE FROM predictq.exports x USING j WHERE x.job_id = j.id
) {
    _ADD.format(
        source=f"SELECT {DAY}, j.owner, j.model_version_id, j.kind, 0, CAST(:rows AS bigint), "
        "CAST(:succeeded AS bigint), CAST(:failed AS bigint), CAST(:cancelled AS bigint) FROM j"
    )
}
""")
