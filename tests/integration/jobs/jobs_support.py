"""What the tests of jobs and of the sweep share: claims, cancels, and batches answered without a model."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Engine

from shared.batches.claims import Answers, Claim, Counts, claim, finish
from shared.jobs.lists import JobFilter, find_jobs
from shared.jobs.records import JobRecord, cancel_job
from shared.postgres.engine import transaction
from shared.status import JobStatus, Queue
from tests.roles import as_worker
from tests.support import OWNER


def take(engine: Engine, queue: Queue = Queue.BULK, lease: float = 600) -> Claim:
    """Claim the next batch of a queue."""
    (held,) = claim(as_worker(engine), queue, worker="w", lease_seconds=lease, most=1)
    return held


def page_of(held: Claim, errors: int = 0) -> Answers:
    """A page of answers for a claim; the first `errors` rows that are asked for come out as errors."""
    count = held.request_count
    values = ",".join("NULL" if number < errors else "0.25" for number in range(count))
    numbers = list(range(errors))
    return Answers(
        values=f"{{{values}}}",
        threshold=0.5,
        error_rows=numbers or None,
        error_codes=["model_failed"] * errors or None,
        error_details=["it failed"] * errors or None,
    )


def answer(engine: Engine, held: Claim, errors: int = 0) -> Counts | None:
    """Finish a claim; None where it is no longer the newest."""
    return finish(as_worker(engine), [(held, page_of(held, errors))]).get(held.batch_id)


def cancel(engine: Engine, job_id: UUID, owner: str = OWNER) -> JobRecord:
    with transaction(engine) as connection:
        return cancel_job(connection, job_id, owner)


def list_jobs(
    connection: Connection,
    owner: str,
    *,
    limit: int,
    before: UUID | None = None,
    status: JobStatus | None = None,
    has_errors: bool | None = None,
) -> list[JobRecord]:
    """A page of an owner's jobs, where nothing takes any of them meanwhile."""
    wanted = JobFilter(status, has_errors=has_errors)
    jobs, more = find_jobs(connection, owner, wanted, limit=limit, before=before)
    assert more is None
    return jobs
