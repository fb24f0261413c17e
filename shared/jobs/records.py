"""Reading jobs, with their derived status, one or many at a time; and cancelling them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import JobUnknown
from shared.models.task import Task
from shared.pages.request_id import RequestId
from shared.status import JobStatus

_STEPS = {JobStatus.QUEUED: 1, JobStatus.RUNNING: 2} | dict.fromkeys(
    (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED), 3
)


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What a bulk job was asked for."""

    what: str  # filter, all, list or upload; or repeat or retry of the job `again_of`
    where: dict[str, Any] | None = None  # the filter; None also where it is too long to be told
    again_of: UUID | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands now. What follows `request_id` is of a single job only, empty until it is answered.

    `client_id` is what the caller wrote: a number, a text or an object; `key` is its canonical form where that differs.
    """

    job_id: UUID
    kind: str  # "single" or "bulk"
    owner: str
    status: JobStatus
    model: str
    model_version: int
    total: int | None  # None while the rows of a selection are counted
    succeeded: int
    failed: int
    cancelled: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelled_at: datetime | None = None
    error_code: str | None = None  # of a bulk job that failed as a whole; of a single job, of its row
    error_detail: str | None = None
    snapshots: int | None = None  # of a selection: in how many readings its rows were found
    request_id: RequestId | None = None
    client_id: Any = None
    key: str | None = None
    task: Task = Task.BINARY
    value: float | None = None  # the probability, of the positive class or of the label; of a regression, the value
    label: bool | int | float | str | None = None
    threshold: float | None = None
    classes: list[Any] | None = None  # with the probability of each in `scores`
    scores: list[float] | None = None
    name: str | None = None
    deadline: datetime | None = None
    asked: AskedFor | None = None  # of a bulk job
    cancelled_by: str | None = None  # who, as the audit log names her
    unknown_categories: Sequence[str] = ()  # features of which the model has not learnt this category

    @property
    def probability(self) -> float | None:
        """Of the positive class, or of the label; None where there is no answer, and of a regression."""
        return None if self.task is Task.REGRESSION else self.value

    @property
    def batch_id(self) -> int | None:
        """The batch that a single job shares: what notices name."""
        return None if self.request_id is None else self.request_id.batch_id

    @property
    def change_number(self) -> int:
        """Which state this is: greater after each change that a caller can see, the same in every gateway.

        It adds up what can only grow, so nothing needs to be counted where jobs change (docs/adr/0022).
        """
        return (
            _STEPS[self.status]
            + self.succeeded
            + self.failed
            + self.cancelled
            + (self.snapshots or 0)
            + (self.total is not None)
            + (self.cancelled_at is not None)
            + (self.error_code is not None)
        )

    @property
    def rows_left(self) -> int | None:
        """The rows that are neither answered nor cancelled; None while they are counted."""
        return None if self.total is None else self.total - self.succeeded - self.failed - self.cancelled


def _record(row: Any) -> JobRecord:
    (job_id, kind, owner, status, model, version, total, succeeded, failed, cancelled, created, started, finished,
     stopped, error_code, error_detail, snapshots, batch_id, row_number, key_int8, client, key, task, value, label,
     threshold, classes, scores, name, deadline, asked_for, asked_where, asked_job, cancelled_by,
     unknown) = row  # fmt: skip
    return JobRecord(
        job_id,
        kind,
        owner,
        JobStatus(status),
        model,
        version,
        total,
        succeeded,
        failed,
        cancelled,
        created,
        started,
        finished,
        stopped,
        error_code,
        error_detail,
        snapshots,
        None if batch_id is None else RequestId(batch_id, row_number),
        key_int8 if client is None else client,
        key,
        Task(task),
        value,
        label,
        threshold,
        classes,
        scores,
        name,
        deadline,
        None if asked_for is None else AskedFor(asked_for, asked_where, asked_job),
        cancelled_by,
        unknown or (),
    )


_READ = text("SELECT * FROM predictq.read_jobs(CAST(:ids AS uuid[]))")


def read_jobs(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, JobRecord]:
    """The jobs of these ids, in one query; unknown ids are absent. Owners are the caller's to check."""
    rows = connection.execute(_READ, {"ids": [str(job_id) for job_id in job_ids]}).all()
    return {record.job_id: record for record in map(_record, rows)}


def read_job(
    connection: Connection, job_id: UUID, owner: str | None, *, models: Collection[str] | None = None
) -> JobRecord:
    """One job of `owner`, or of anybody; with `models`, of one of these models. Raises JobUnknown, also for others'."""
    record = read_jobs(connection, [job_id]).get(job_id)
    if (
        record is None
        or (owner is not None and record.owner != owner)
        or (models is not None and record.model not in models)
    ):
        raise JobUnknown(job_id)
    return record


def cancel_job(
    connection: Connection,
    job_id: UUID,
    owner: str | None,
    *,
    models: Collection[str] | None = None,
    actor: str | None = None,
) -> JobRecord:
    """Stop what of a job is not scored yet; what is scored stays. Cancelling again, or too late, changes nothing.

    Which jobs it finds is as in `read_job`. The job keeps `actor` as who cancelled it. `connection` must be in a
    transaction. Raises JobUnknown.
    """
    return stop_job(connection, job_id, owner, models=models, actor=actor)[0]


def stop_job(
    connection: Connection,
    job_id: UUID,
    owner: str | None,
    *,
    models: Collection[str] | None = None,
    actor: str | None = None,
) -> tuple[JobRecord, bool]:
    """The same, and whether this call stopped anything."""
    job = read_job(connection, job_id, owner, models=models)
    if job.status.is_terminal:
        return job, False
    if job.request_id is not None:
        has_stopped = _cancel_single(connection, job_id, job.request_id, actor)
    else:
        has_stopped = stop_bulk(connection, job_id, is_cancelled=True, actor=actor)
    return read_job(connection, job_id, owner, models=models), has_stopped


def stop_bulk(connection: Connection, job_id: UUID, *, is_cancelled: bool, actor: str | None = None) -> bool:
    """End the open batches of a job, and its plan. A worker that has one now finds its claim gone and drops its work.

    `is_cancelled` says that `actor` wanted it; else the job has an error of its own. `connection` must be in a
    transaction. Returns whether any was open.
    """
    values = {"id": str(job_id), "actor": actor}
    # The plan first: whoever writes pages holds its row, so that no page comes after this.
    connection.execute(LOCK_PLAN, values)
    stopped = connection.execute(_STOP_BATCHES, values).scalar_one()
    if stopped and is_cancelled:
        connection.execute(
            text("""UPDATE predictq.jobs SET cancelled_at = clock_timestamp(), cancelled_by = :actor
                    WHERE id = :id AND status IS NULL"""),
            values,
        )
    connection.execute(text("SELECT predictq.end_job(:id)"), values)
    return bool(stopped)


LOCK_PLAN = text("SELECT FROM predictq.prediction_batches WHERE job_id = :id AND queue = 'plan' FOR UPDATE")
_STOP_BATCHES = text("""
WITH open AS MATERIALIZED (  -- locked in id order: two cancels at once must not wait for each other in a ring
    SELECT id FROM predictq.prediction_batches WHERE job_id = :id ORDER BY id FOR UPDATE
), gone AS (
    DELETE FROM predictq.prediction_batches b USING open WHERE b.id = open.id RETURNING b.*
), stored AS (
    INSERT INTO predictq.batch_outputs (batch_id, job_id, model_version_id, fence, attempts, request_count, succeeded,
                                        failed, cancelled, claimed_at, worker, erased_rows)
    SELECT id, job_id, model_version_id, fence, attempts, request_count, 0, 0, request_count, claimed_at, worker,
           erased_rows
    FROM gone WHERE queue <> 'plan'
)
SELECT count(*) FROM gone
""")


def _cancel_single(connection: Connection, job_id: UUID, request_id: RequestId, actor: str | None) -> bool:
    """Note one row of the shared batch as cancelled; finishing leaves it out. Returns whether it was open."""
    values = {"id": str(job_id), "batch_id": request_id.batch_id, "row": request_id.row, "actor": actor}
    # Locked now: another cancel of this job, or the batch's end, is either committed and seen here, or waits.
    open_batch = connection.execute(
        text("SELECT FROM predictq.prediction_batches WHERE id = :batch_id FOR UPDATE"), values
    ).first()
    if open_batch is None:
        return False
    cancelled = connection.execute(
        text("""UPDATE predictq.jobs SET status = 'cancelled', cancelled_at = clock_timestamp(), cancelled_by = :actor,
                       finished_at = clock_timestamp() WHERE id = :id AND status IS NULL"""),
        values,
    )
    if cancelled.rowcount and connection.execute(_CANCEL_ROW, values).scalar_one():
        connection.execute(_END_CANCELLED, values)
    return bool(cancelled.rowcount)


_CANCEL_ROW = text("""
UPDATE predictq.prediction_batches SET cancelled_rows = array_append(cancelled_rows, CAST(:row AS integer))
WHERE id = :batch_id RETURNING status = 'queued' AND cardinality(cancelled_rows) = request_count
""")
# A batch that nobody has claimed and that has no row left.
_END_CANCELLED = text("""
WITH gone AS (DELETE FROM predictq.prediction_batches WHERE id = :batch_id RETURNING *)
INSERT INTO predictq.batch_outputs (batch_id, model_version_id, fence, attempts, request_count, succeeded, failed,
                                    cancelled, claimed_at, worker, cancelled_rows, erased_rows)
SELECT id, model_version_id, fence, attempts, request_count, 0, 0, request_count, claimed_at, worker, cancelled_rows,
       erased_rows
FROM gone
""")
