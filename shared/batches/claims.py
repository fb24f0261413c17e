"""The life of a batch: claim, extend, finish. The database referees: a guard that matches no row is an answer.

Only the database's clock counts, so a worker whose clock is wrong does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.errors import FenceLost
from shared.postgres.engine import autocommit, driver_connection, terse_transaction
from shared.postgres.tables import REQUESTS_PER_BATCH


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch held by this worker until its lease runs out. Only the newest fence may finish it."""

    batch_id: int
    fence: int
    attempt: int  # 1 for the first claim
    model_version: int
    request_count: int
    job_id: UUID | None  # of a bulk job; None where single jobs share the batch
    client_ids: tuple[int, int] | None  # the lowest and the highest in a batch of a bulk job
    waited_seconds: float  # from acceptance to this claim

    @property
    def request_ids(self) -> tuple[int, int]:
        """The range of this batch's request ids: first (inclusive) and last (exclusive)."""
        return self.batch_id * REQUESTS_PER_BATCH, (self.batch_id + 1) * REQUESTS_PER_BATCH


# Batches are many, and each is claimed and finished: these statements go to the driver itself, as what SQLAlchemy does
# about a statement took nearly as long as PostgreSQL.

# The range of client ids is what `worker.scoring.feature_reader` reads by: asked here, it costs no extra round trip.
_CLAIM = f"""
UPDATE prediction_batches
SET status = 'running', fence = fence + 1, attempts = attempts + 1, worker = %(worker)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
    dispatch_after = clock_timestamp(),  -- its message is used up
    claimed_at = coalesce(claimed_at, clock_timestamp())
WHERE id = %(id)s AND (status = 'queued' OR (status = 'running' AND lease_until < clock_timestamp()))
RETURNING id, fence, attempts, model_version, request_count, CAST(job_id AS text),
          CASE WHEN job_id IS NOT NULL THEN (
              SELECT ARRAY[min(r.client_id), max(r.client_id)] FROM prediction_requests r
              WHERE r.request_id >= id * {REQUESTS_PER_BATCH} AND r.request_id < (id + 1) * {REQUESTS_PER_BATCH}
          ) END,
          CAST(extract(epoch FROM clock_timestamp() - created_at) AS double precision)
"""


def claim(engine: Engine, batch_id: int, *, worker: str, lease_seconds: float) -> Claim | None:
    """Claim a batch, or None when it is finished, cancelled, or held by a living worker."""
    with autocommit(engine) as connection, driver_connection(connection).cursor() as cursor:
        cursor.execute(_CLAIM, {"id": batch_id, "worker": worker, "lease": lease_seconds})
        row = cursor.fetchone()
    if row is None:
        return None
    batch_id, fence, attempt, model_version, request_count, job_id, client_ids, waited = row
    return Claim(
        batch_id,
        fence,
        attempt,
        model_version,
        request_count,
        job_id=job_id and UUID(job_id),
        client_ids=client_ids and tuple(client_ids),
        waited_seconds=waited,
    )


def extend_lease(engine: Engine, claim: Claim, *, lease_seconds: float) -> None:
    """Hold the batch for `lease_seconds` more. Raises FenceLost when it is no longer this claim's."""
    with autocommit(engine) as connection:
        kept = connection.execute(
            text("""UPDATE prediction_batches
                    SET lease_until = clock_timestamp() + make_interval(secs => :lease)
                    WHERE id = :id AND fence = :fence AND status = 'running'"""),
            {"lease": lease_seconds, "id": claim.batch_id, "fence": claim.fence},
        )
    if kept.rowcount == 0:
        raise FenceLost(claim.batch_id, claim.fence)


def record_failure(engine: Engine, claim: Claim, error: str, *, retry_after_seconds: float) -> None:
    """End a claim early, with the reason: the batch can be claimed again, and is dispatched again, after a pause."""
    with autocommit(engine) as connection:
        connection.execute(
            text("""UPDATE prediction_batches
                    SET lease_until = clock_timestamp() + make_interval(secs => :pause), last_error = :error
                    WHERE id = :id AND fence = :fence AND status = 'running'"""),
            {
                "error": error[:2000],
                "pause": retry_after_seconds,
                "id": claim.batch_id,
                "fence": claim.fence,
            },
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """How the rows of a batch came out."""

    succeeded: int
    failed: int


def finish(engine: Engine, claim: Claim, write_outputs: Callable[[Connection, frozenset[int]], Counts]) -> Counts:
    """Commit the outputs of a batch and its end in one transaction, if this claim is still the newest.

    `write_outputs(connection, cancelled)` inserts the outputs of all requests but the cancelled ones.

    Raises:
        FenceLost: the batch was claimed anew or cancelled; nothing is written.

    """
    key = {"id": claim.batch_id, "fence": claim.fence}
    with terse_transaction(engine) as connection, driver_connection(connection).cursor() as cursor:
        # The row lock holds off a cancel, a new claim and the sweeper until this transaction has ended.
        cursor.execute(_LOCK, key)
        row = cursor.fetchone()
        if row is None:
            raise FenceLost(claim.batch_id, claim.fence)
        cancelled = _cancelled_requests(connection, claim) if row[0] else frozenset()
        counts = write_outputs(connection, cancelled)
        cursor.execute(_END, {**key, "succeeded": counts.succeeded, "failed": counts.failed})
    return counts


_LOCK = """
BEGIN;
SELECT cancelled FROM prediction_batches WHERE id = %(id)s AND fence = %(fence)s AND status = 'running' FOR UPDATE
"""

_END = """
UPDATE prediction_batches
SET status = 'finished', lease_until = NULL, finished_at = clock_timestamp(),
    succeeded = %(succeeded)s, failed = %(failed)s
WHERE id = %(id)s AND fence = %(fence)s;
COMMIT
"""


def _cancelled_requests(connection: Connection, claim: Claim) -> frozenset[int]:
    first, last = claim.request_ids
    rows = connection.execute(
        text("""SELECT r.request_id FROM prediction_requests r JOIN jobs j ON j.id = r.job_id
                WHERE r.request_id >= :first AND r.request_id < :last AND j.cancelled_at IS NOT NULL"""),
        {"first": first, "last": last},
    )
    return frozenset(rows.scalars())
