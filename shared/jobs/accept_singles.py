"""Acceptance: what makes a 202 true. Each function commits the job, its batches and its requests, or nothing.

Request ids are numbered in their batch (`batch × 100,000 + row`), so that a batch's rows lie side by side in
every table and are found by one range of the primary key. docs/adr/ tells why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import (
    ClientUnknown,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    ModelChanged,
    NoLiveModel,
    PredictqError,
)
from shared.postgres.tables import REQUESTS_PER_BATCH
from shared.status import Queue


@dataclass(frozen=True, slots=True)
class SingleJob:
    """One prediction to accept: a client id, or features as JSON text. Exactly one of the two is given."""

    job_id: UUID
    owner: str
    client_id: int | None = None
    features: str | None = None
    idempotency_key: str | None = None
    payload_hash: str | None = None  # SHA-256 of what was asked, in hex; given with the key
    model_version: int | None = None  # the version whose signature the features were checked against


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that is in PostgreSQL. `batch_ids` are what to publish; empty for a replay, which was published."""

    job_id: UUID
    model_version: int
    queue: Queue
    batch_ids: tuple[int, ...]
    request_id: int | None = None  # of a single job
    replayed: bool = False  # the Idempotency-Key was known: this is the earlier job
    created_at: datetime | None = None  # of a job that was accepted just now
    request_count: int = 1  # rows of that job


# The client is looked up by a scalar subquery: EXISTS under OR may be hashed, which reads the whole table's keys.
_ACCEPT_SINGLES = text(f"""
WITH input AS (
    SELECT * FROM unnest(CAST(:job_ids AS uuid[]), CAST(:owners AS text[]), CAST(:client_ids AS bigint[]),
                         CAST(:features AS jsonb[]), CAST(:keys AS text[]), CAST(:hashes AS text[]),
                         CAST(:versions AS integer[]))
        WITH ORDINALITY AS i(job_id, owner, client_id, features, idempotency_key, payload_hash, model_version, n)
), batch AS MATERIALIZED (
    SELECT nextval('prediction_batches_id_seq') AS id, version AS model_version
    FROM model_versions WHERE is_live
), new_jobs AS (
    INSERT INTO jobs (id, kind, owner, model_version, request_count, request_id, idempotency_key, payload_hash)
    SELECT i.job_id, 'single', i.owner, b.model_version, 1, b.id * {REQUESTS_PER_BATCH} + i.n - 1,
           i.idempotency_key, i.payload_hash
    FROM input i CROSS JOIN batch b
    WHERE (i.features IS NOT NULL OR (SELECT c.client_id FROM clients c WHERE c.client_id = i.client_id) IS NOT NULL)
        AND (i.model_version IS NULL OR i.model_version = b.model_version)
    ORDER BY i.n
    ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, request_id, model_version, created_at
), new_requests AS (
    INSERT INTO prediction_requests (request_id, job_id, client_id, features)
    SELECT j.request_id, j.id, i.client_id, i.features FROM new_jobs j JOIN input i ON i.job_id = j.id
), new_batch AS (
    INSERT INTO prediction_batches (id, queue, model_version, request_count, dispatch_after)
    SELECT b.id, '{Queue.INTERACTIVE}', b.model_version, count(*), now() + make_interval(secs => :grace)
    FROM batch b CROSS JOIN new_jobs GROUP BY b.id, b.model_version
)
SELECT id, request_id, model_version, created_at FROM new_jobs
""")


def accept_singles(
    connection: Connection, jobs: Sequence[SingleJob], *, grace_seconds: float
) -> list[Accepted | PredictqError]:
    """Commit single jobs together as one batch, in one statement; `connection` must be in autocommit.

    Returns, in the order of `jobs`, the accepted job or why it was not: ClientUnknown, NoLiveModel,
    IdempotencyKeyReused, ModelChanged (check the features again, then retry) or, where another gateway is accepting
    the same key right now, IdempotencyKeyInFlight.
    """
    rows = connection.execute(
        _ACCEPT_SINGLES,
        {
            "job_ids": [str(job.job_id) for job in jobs],
            "owners": [job.owner for job in jobs],
            "client_ids": [job.client_id for job in jobs],
            "features": [job.features for job in jobs],
            "keys": [job.idempotency_key for job in jobs],
            "hashes": [job.payload_hash for job in jobs],
            "versions": [job.model_version for job in jobs],
            "grace": grace_seconds,
        },
    )
    accepted = {row.id: row for row in rows}
    left = [job for job in jobs if job.job_id not in accepted]
    refusals = _explain(connection, left) if left else {}
    answers: list[Accepted | PredictqError] = []
    for job in jobs:
        row = accepted.get(job.job_id)
        if row is None:
            answers.append(refusals[job.job_id])
        else:
            batch = (row.request_id // REQUESTS_PER_BATCH,)
            answers.append(
                Accepted(
                    job.job_id,
                    row.model_version,
                    Queue.INTERACTIVE,
                    batch,
                    row.request_id,
                    created_at=row.created_at,
                )
            )
    return answers


def _explain(connection: Connection, jobs: Sequence[SingleJob]) -> dict[UUID, Accepted | PredictqError]:
    """Why these jobs were not inserted: a known key (then the earlier job answers), a missing client, no model."""
    live = connection.execute(text("SELECT version FROM model_versions WHERE is_live")).scalar_one_or_none()
    answers: dict[UUID, Accepted | PredictqError] = {}
    for job in jobs:
        earlier = earlier_job(connection, job.owner, job.idempotency_key, job.payload_hash)
        if earlier is not None:
            answers[job.job_id] = earlier
        elif live is None:
            answers[job.job_id] = NoLiveModel()
        elif job.client_id is not None and not _client_exists(connection, job.client_id):
            answers[job.job_id] = ClientUnknown(job.client_id)
        elif job.model_version not in (None, live):
            answers[job.job_id] = ModelChanged(live)
        else:  # the key, the client or the model changed between the two statements
            answers[job.job_id] = IdempotencyKeyInFlight()
    return answers


def _client_exists(connection: Connection, client_id: int) -> bool:
    query = text("SELECT 1 FROM clients WHERE client_id = :client_id")
    return connection.execute(query, {"client_id": client_id}).first() is not None


def earlier_job(
    connection: Connection, owner: str, key: str | None, payload_hash: str | None
) -> Accepted | IdempotencyKeyReused | None:
    """The job that `owner` was given for this key: None if there is none, an error if its payload was another."""
    if key is None:
        return None
    row = connection.execute(
        text("""SELECT id, kind, model_version, request_id, payload_hash FROM jobs
                WHERE owner = :owner AND idempotency_key = :key"""),
        {"owner": owner, "key": key},
    ).first()
    if row is None:
        return None
    if row.payload_hash != payload_hash:
        return IdempotencyKeyReused()
    queue = Queue.INTERACTIVE if row.kind == "single" else Queue.BULK
    return Accepted(row.id, row.model_version, queue, (), row.request_id, replayed=True)


def claim_idempotency_key(
    connection: Connection, owner: str, key: str | None, payload_hash: str | None
) -> Accepted | None:
    """Hold `key` until this transaction ends; returns the earlier job when the key is known.

    Raises:
        IdempotencyKeyInFlight: another transaction holds the key.
        IdempotencyKeyReused: the key was used with another payload.

    """
    if key is None:
        return None
    held = connection.execute(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{owner}\n{key}"}
    ).scalar_one()
    if not held:
        raise IdempotencyKeyInFlight
    earlier = earlier_job(connection, owner, key, payload_hash)
    if isinstance(earlier, PredictqError):
        raise earlier
    return earlier
