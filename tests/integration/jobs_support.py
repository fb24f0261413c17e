"""What the tests of jobs and of the sweep share: claims, cancels, and batches answered without a model."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from shared.batches.claims import Claim, Counts, claim, finish
from shared.jobs.records import JobRecord, cancel_job
from shared.postgres.engine import transaction
from tests.support import OWNER


def take(engine: Engine, batch_id: int, lease: float = 600) -> Claim:
    held = claim(engine, batch_id, worker="w", lease_seconds=lease)
    assert held is not None
    return held


def answer(engine: Engine, held: Claim, errors: int = 0) -> None:
    """Finish a claim; the first `errors` requests come out as errors."""

    def write(connection: Connection, cancelled: frozenset[int]) -> Counts:
        first, _ = held.request_ids
        open_requests = [first + n for n in range(held.request_count) if first + n not in cancelled]
        codes = {request: "model_failed" if n < errors else None for n, request in enumerate(open_requests)}
        insert_outputs(connection, held, codes)
        return Counts(len(open_requests) - errors, errors)

    finish(engine, held, write)


def insert_outputs(connection: Connection, held: Claim, codes: Mapping[int, str | None]) -> None:
    """The outputs of a claim: an answer for each request whose code is None, an error for the others."""
    for request, code in codes.items():
        connection.execute(
            text("""INSERT INTO prediction_outputs (request_id, model_version, fence, probability, label, threshold,
                    error_code, error_detail) VALUES (:id, :v, :f, :p, :l, :t, :e, :e)"""),
            {
                "id": request, "v": held.model_version, "f": held.fence, "p": None if code else 0.25,
                "l": None if code else 0, "t": None if code else 0.5, "e": code,
            },
        )  # fmt: skip


def cancel(engine: Engine, job_id: UUID, owner: str = OWNER) -> JobRecord:
    with transaction(engine) as connection:
        return cancel_job(connection, job_id, owner)
