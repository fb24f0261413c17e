"""Reading jobs: their derived status, one or many at a time; listing, and cancelling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import JobUnknown
from shared.postgres.tables import REQUESTS_PER_BATCH
from shared.status import JobStatus


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands now. The last fields are of a single job only, and empty until it is answered."""

    job_id: UUID
    kind: str  # "single" or "bulk"
    owner: str
    status: JobStatus
    model_version: int
    total: int
    succeeded: int
    failed: int
    cancelled: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None
    request_id: int | None = None
    client_id: int | None = None
    probability: float | None = None
    label: int | None = None
    threshold: float | None = None
    error_code: str | None = None
    error_detail: str | None = None

    @property
    def batch_id(self) -> int | None:
        """The batch that a single job shares: what notices name."""
        return None if self.request_id is None else self.request_id // REQUESTS_PER_BATCH

    @property
    def rows_left(self) -> int:
        """The rows that are neither answered nor cancelled."""
        return self.total - self.succeeded - self.failed - self.cancelled


_SELECT = """
SELECT s.job_id, s.kind, s.owner, s.status, s.model_version, s.request_count AS total, s.succeeded, s.failed,
       s.cancelled, s.created_at, s.started_at, s.finished_at, s.cancelled_at, s.request_id,
       r.client_id, o.probability, o.label, o.threshold, o.error_code, o.error_detail
FROM job_status s
LEFT JOIN prediction_requests r ON r.request_id = s.request_id
LEFT JOIN prediction_outputs o ON o.request_id = s.request_id
"""


def _records(rows: Sequence[tuple[object, ...]]) -> list[JobRecord]:
    records = []
    for row in rows:
        job_id, kind, owner, status, version, total, succeeded, failed, cancelled, *rest = row
        records.append(
            JobRecord(
                job_id,  # type: ignore[arg-type]  # rows come typed from PostgreSQL, in the order of _SELECT
                kind,  # type: ignore[arg-type]
                owner,  # type: ignore[arg-type]
                JobStatus(status),  # type: ignore[arg-type]
                version,  # type: ignore[arg-type]
                total,  # type: ignore[arg-type]
                int(succeeded),  # type: ignore[call-overload]
                int(failed),  # type: ignore[call-overload]
                int(cancelled),  # type: ignore[call-overload]
                *rest,  # type: ignore[arg-type]
            )
        )
    return records


def read_jobs(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, JobRecord]:
    """The jobs of these ids, in one query; unknown ids are absent. Owners are the caller's to check."""
    rows = connection.execute(
        text(f"{_SELECT} WHERE s.job_id = ANY(CAST(:ids AS uuid[]))"), {"ids": [str(job_id) for job_id in job_ids]}
    ).all()
    return {record.job_id: record for record in _records(rows)}


def read_job(connection: Connection, job_id: UUID, owner: str) -> JobRecord:
    """One job of `owner`. Raises JobUnknown, also where the job is another owner's."""
    record = read_jobs(connection, [job_id]).get(job_id)
    if record is None or record.owner != owner:
        raise JobUnknown(job_id)
    return record


def list_jobs(
    connection: Connection, owner: str, *, limit: int, before: UUID | None = None, status: JobStatus | None = None
) -> list[JobRecord]:
    """At most `limit` jobs of `owner`, newest first, older than `before`; ids are UUIDv7, so id order is age order."""
    conditions = ["s.owner = :owner"]
    if before is not None:
        conditions.append("s.job_id < CAST(:before AS uuid)")
    if status is not None:
        conditions.append("s.status = :status")
    rows = connection.execute(
        text(f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY s.job_id DESC LIMIT :limit"),
        {"owner": owner, "before": before and str(before), "status": status and status.value, "limit": limit},
    ).all()
    return _records(rows)


def cancel_job(connection: Connection, job_id: UUID, owner: str) -> JobRecord:
    """Stop what of a job is not scored yet; what is scored stays. Cancelling again, or too late, changes nothing.

    `connection` must be in a transaction. Raises JobUnknown.
    """
    job = read_job(connection, job_id, owner)
    if job.status.is_terminal:
        return job
    stopped = _cancel_single(connection, job) if job.kind == "single" else _cancel_bulk(connection, job)
    if stopped:
        connection.execute(
            text("UPDATE jobs SET cancelled_at = coalesce(cancelled_at, now()) WHERE id = :id"), {"id": str(job_id)}
        )
    return read_job(connection, job_id, owner)


def _cancel_bulk(connection: Connection, job: JobRecord) -> bool:
    """Cancel the open batches. A worker that scores one now finds its claim gone and drops its answers."""
    stopped = connection.execute(
        text("""
WITH open AS (  -- locked in id order: two cancels at once must not wait for each other in a ring
    SELECT id FROM prediction_batches WHERE job_id = :id AND status IN ('queued', 'running') ORDER BY id FOR UPDATE
)
UPDATE prediction_batches b
SET status = 'cancelled', cancelled = request_count, lease_until = NULL, finished_at = clock_timestamp()
FROM open WHERE b.id = open.id AND b.status IN ('queued', 'running')
"""),
        {"id": str(job.job_id)},
    )
    return stopped.rowcount > 0


def _cancel_single(connection: Connection, job: JobRecord) -> bool:
    """Count one request of the shared batch as cancelled; the worker leaves it out when it finishes."""
    connection.execute(text("SELECT 1 FROM prediction_batches WHERE id = :id FOR UPDATE"), {"id": job.batch_id})
    # Locked now: another cancel of this job, or the batch's end, is either committed and seen here, or waits.
    still_open = connection.execute(
        text("""
UPDATE prediction_batches b
SET cancelled = cancelled + 1,
    status = CASE WHEN status = 'queued' AND cancelled + 1 = request_count THEN 'cancelled' ELSE status END,
    finished_at = CASE WHEN status = 'queued' AND cancelled + 1 = request_count THEN clock_timestamp() END
WHERE b.id = :id AND b.status IN ('queued', 'running')
  AND EXISTS (SELECT FROM jobs j WHERE j.id = :job_id AND j.cancelled_at IS NULL)
"""),
        {"id": job.batch_id, "job_id": str(job.job_id)},
    )
    return still_open.rowcount > 0
