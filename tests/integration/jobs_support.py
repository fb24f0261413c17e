"""What the tests of jobs and of the sweep share: claims, cancels, and batches answered without a model."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.batches import Claim, Counts, claim, finish
from shared.db import transaction
from shared.jobs import JobRecord, cancel_job
from tests.support import OWNER


def take(engine: Engine, batch_id: int, lease: float = 600) -> Claim:
    held = claim(engine, batch_id, worker="w", lease_seconds=lease)
    assert held is not None
    return held


def answer(engine: Engine, held: Claim, errors: int = 0) -> None:
    """Finish a claim; the first `errors` requests come out as errors."""

    def write(connection: Connection, cancelled: frozenset[int]) -> Counts:
        first = held.batch_id * 100_000
        open_requests = [first + n for n in range(held.request_count) if first + n not in cancelled]
        for number, request in enumerate(open_requests):
            bad = number < errors
            connection.execute(
                text("""INSERT INTO prediction_outputs (request_id, model_version, fence, probability, label, threshold,
                        error_code, error_detail) VALUES (:id, :v, :f, :p, :l, :t, :e, :e)"""),
                {
                    "id": request, "v": held.model_version, "f": held.fence, "p": None if bad else 0.25,
                    "l": None if bad else 0, "t": None if bad else 0.5, "e": "model_failed" if bad else None,
                },
            )  # fmt: skip
        return Counts(len(open_requests) - errors, errors)

    finish(engine, held, write)


def cancel(engine: Engine, job_id: UUID, owner: str = OWNER) -> JobRecord:
    with transaction(engine) as connection:
        return cancel_job(connection, job_id, owner)
