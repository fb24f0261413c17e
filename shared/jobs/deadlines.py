"""Jobs whose deadline has passed: whoever ends them takes their open batches from the workers first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from shared.batches.claims import Claim
from shared.jobs.records import LOCK_PLAN
from shared.status import JobError, RowError

BY_DEADLINE = "upkeep"  # stands as the worker of the pages that a deadline has ended
DEADLINE_PASSED = RowError.DEADLINE_PASSED.value


@dataclass(frozen=True, slots=True)
class LateJob:
    """A job that is open although its deadline has passed."""

    job_id: UUID
    deadline: datetime

    @property
    def detail(self) -> str:
        """What its rows and the job itself say, with the deadline in UTC."""
        return f"not answered by the deadline, {self.deadline:%Y-%m-%dT%H:%M:%SZ}"


def late_jobs(connection: Connection, now: datetime) -> list[LateJob]:
    """The open jobs whose deadline has passed at `now`, by age of their deadlines; a hundred at most."""
    return [LateJob(row.id, row.deadline) for row in connection.execute(_LATE, {"now": now})]


def take_late(connection: Connection, job: LateJob, *, lease_seconds: float) -> list[tuple[int, int]]:
    """Stop the plan of a job, and claim all its open batches, also those that workers hold. Batch ids with fences.

    Rows that have their answer keep it. Where rows are open the job gets an error of its own, with which it ends by its
    answers. `connection` must be in a transaction.
    """
    values = {"id": str(job.job_id), "code": JobError.DEADLINE_PASSED.value, "detail": job.detail}
    # The plan first, as a cancel does: whoever writes pages holds its row, so that no page comes after this.
    connection.execute(LOCK_PLAN, values)
    connection.execute(_LOCK_BATCHES, values)
    has_plan = connection.execute(_END_PLAN, values).rowcount > 0
    taken = connection.execute(_TAKE, {**values, "worker": BY_DEADLINE, "lease": lease_seconds}).all()
    if taken or has_plan:
        connection.execute(_NOTE, values)
    if not taken:
        connection.execute(text("SELECT predictq.end_job(:id)"), values)
    return sorted((row.id, row.fence) for row in taken)


def read_taken(connection: Connection, batches: Sequence[tuple[int, int]]) -> list[Claim]:
    """The claims of these batches and fences, as far as they are still the newest."""
    values = {"ids": [batch for batch, _ in batches], "fences": [fence for _, fence in batches]}
    return [
        Claim(
            row.id,
            row.fence,
            row.attempts,
            row.model_version_id,
            row.request_count,
            row.job_id,
            0.0,
            row.source_id,
            row.keys_int8,
            row.keys_uuid,
            row.keys_text,
            None,
        )
        for row in connection.execute(_READ, values)
    ]


_LATE = text("""
SELECT j.id, j.deadline AT TIME ZONE 'UTC' AS deadline FROM predictq.jobs j
WHERE j.deadline IS NOT NULL AND j.status IS NULL AND j.deadline <= :now ORDER BY j.deadline LIMIT 100
""")
_LOCK_BATCHES = text("SELECT FROM predictq.prediction_batches WHERE job_id = :id ORDER BY id FOR UPDATE")
_END_PLAN = text("DELETE FROM predictq.prediction_batches WHERE job_id = :id AND queue = 'plan'")
_TAKE = text("""
UPDATE predictq.prediction_batches
SET status = 'running', fence = fence + 1, worker = :worker,
    lease_until = clock_timestamp() + make_interval(secs => :lease)
WHERE job_id = :id RETURNING id, fence
""")
_NOTE = text("""
UPDATE predictq.jobs SET error_code = :code, error_detail = :detail
WHERE id = :id AND status IS NULL AND error_code IS NULL
""")
_READ = text("""
SELECT b.id, b.fence, b.attempts, b.model_version_id, b.request_count, b.job_id, r.source_id,
       r.keys_int8::text AS keys_int8, r.keys_uuid::text AS keys_uuid, r.keys_text
FROM predictq.prediction_batches b
JOIN unnest(CAST(:ids AS bigint[]), CAST(:fences AS integer[])) AS held (id, fence)
    ON b.id = held.id AND b.fence = held.fence
JOIN predictq.batch_requests r ON r.batch_id = b.id
WHERE b.status = 'running' ORDER BY b.id
""")
