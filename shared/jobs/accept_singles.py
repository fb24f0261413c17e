"""Acceptance of single jobs: what makes a 202 true.

One statement commits the jobs, their batch and its page of requests, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import (
    ClientUnknown,
    Erased,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    ModelChanged,
    NoLiveModel,
    PredictqError,
)
from shared.pages.request_id import RequestId
from shared.sources.clients import CLIENTS
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
    request_id: RequestId | None = None  # of a single job
    replayed: bool = False  # the Idempotency-Key was known: this is the earlier job
    created_at: datetime | None = None  # of a job that was accepted just now
    request_count: int | None = 1  # rows of that job; None while they are counted


# The client is looked up by a scalar subquery: EXISTS under OR may be hashed, which reads the whole table's keys.
_IS_KNOWN = f"(SELECT c.client_id FROM {CLIENTS} c WHERE c.client_id = i.client_id) IS NOT NULL"
# Nothing of a job that is refused is stored: who may come in is known before the first insert.
_ACCEPT_SINGLES = f"""
WITH input AS (
    SELECT * FROM unnest(CAST(:job_ids AS uuid[]), CAST(:owners AS text[]), CAST(:client_ids AS bigint[]),
                         CAST(:features AS text[]), CAST(:keys AS text[]), CAST(:hashes AS text[]),
                         CAST(:versions AS integer[]))
        WITH ORDINALITY AS i(job_id, owner, client_id, features, key, payload_hash, model_version, n)
), live AS MATERIALIZED (
    SELECT v.id, v.version, v.requirements, m.source_id
    FROM predictq.models m JOIN predictq.model_versions v ON v.id = m.live_version_id WHERE m.is_default
), possible AS MATERIALIZED (
    SELECT i.* FROM input i CROSS JOIN live l
    WHERE (i.features IS NOT NULL OR {{is_known}})
        AND (i.model_version IS NULL OR i.model_version = l.version)
), kept_keys AS (
    INSERT INTO predictq.idempotency_keys (owner, key, payload_hash, job_id)
    SELECT owner, key, payload_hash, job_id FROM possible WHERE key IS NOT NULL ORDER BY owner, key
    ON CONFLICT (owner, key) DO NOTHING
    RETURNING job_id
), accepted AS MATERIALIZED (
    SELECT p.*, (row_number() OVER (ORDER BY p.n) - 1)::integer AS row
    FROM possible p WHERE p.key IS NULL OR p.job_id IN (SELECT k.job_id FROM kept_keys k)
), batch AS MATERIALIZED (
    SELECT nextval('predictq.batch_ids') AS id, l.* FROM (SELECT FROM accepted LIMIT 1) a, live l
           (model_version_id, version, requirements, source_id)
), new_jobs AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, batch_id, row_number, request_count, source_id)
    SELECT a.job_id, 'single', a.owner, b.model_version_id, b.id, a.row, 1,
           CASE WHEN a.client_id IS NOT NULL THEN b.source_id END
    FROM accepted a CROSS JOIN batch b
), new_batch AS (
    INSERT INTO predictq.prediction_batches (id, queue, requirements, model_version_id, request_count)
    SELECT b.id, '{Queue.INTERACTIVE}', b.requirements, b.model_version_id, (SELECT count(*) FROM accepted) FROM batch b
), new_page AS (
    INSERT INTO predictq.batch_requests (batch_id, request_count, source_id, job_ids, keys_int8, given)
    SELECT b.id, count(*), CASE WHEN count(a.client_id) > 0 THEN b.source_id END, array_agg(a.job_id ORDER BY a.row),
           CASE WHEN count(a.client_id) > 0 THEN array_agg(a.client_id ORDER BY a.row) END,
           CASE WHEN count(a.features) > 0 THEN array_agg(a.features ORDER BY a.row) END
    FROM accepted a CROSS JOIN batch b GROUP BY b.id, b.source_id
)
SELECT a.job_id, b.id AS batch_id, a.row, b.version, now() AS created_at FROM accepted a CROSS JOIN batch b
"""
_LOOKING_UP, _UNSEEN = (text(_ACCEPT_SINGLES.format(is_known=condition)) for condition in (_IS_KNOWN, "true"))


def accept_singles(
    connection: Connection, jobs: Sequence[SingleJob], *, look_up: bool = True
) -> list[Accepted | PredictqError]:
    """Commit single jobs together as one batch, in one statement; `connection` must be in autocommit.

    Without `look_up` the table of clients is not asked: one that is not there gets its stated error from a worker.

    Returns, in the order of `jobs`, the accepted job or why it was not: ClientUnknown, NoLiveModel,
    IdempotencyKeyReused, ModelChanged (check the features again, then retry) or, where another gateway is accepting
    the same key right now, IdempotencyKeyInFlight.
    """
    rows = connection.execute(
        _LOOKING_UP if look_up else _UNSEEN,
        {
            "job_ids": [str(job.job_id) for job in jobs],
            "owners": [job.owner for job in jobs],
            "client_ids": [job.client_id for job in jobs],
            "features": [job.features for job in jobs],
            "keys": [job.idempotency_key for job in jobs],
            "hashes": [job.payload_hash for job in jobs],
            "versions": [job.model_version for job in jobs],
        },
    )
    accepted = {job_id: rest for job_id, *rest in rows}
    left = [job for job in jobs if job.job_id not in accepted]
    refusals = _explain(connection, left, look_up=look_up) if left else {}
    answers: list[Accepted | PredictqError] = []
    for job in jobs:
        if job.job_id not in accepted:
            answers.append(refusals[job.job_id])
            continue
        batch_id, row, version, created_at = accepted[job.job_id]
        request_id = RequestId(batch_id, row)
        answers.append(Accepted(job.job_id, version, Queue.INTERACTIVE, (batch_id,), request_id, created_at=created_at))
    return answers


def _explain(
    connection: Connection, jobs: Sequence[SingleJob], *, look_up: bool
) -> dict[UUID, Accepted | PredictqError]:
    """Why these jobs were not inserted: a known key (then the earlier job answers), a missing client, no model."""
    live = connection.execute(_LIVE_VERSION).scalar_one_or_none()
    answers: dict[UUID, Accepted | PredictqError] = {}
    for job in jobs:
        earlier = earlier_job(connection, job.owner, job.idempotency_key, job.payload_hash)
        if earlier is not None:
            answers[job.job_id] = earlier
        elif live is None:
            answers[job.job_id] = NoLiveModel()
        elif look_up and job.client_id is not None and not _client_exists(connection, job.client_id):
            answers[job.job_id] = ClientUnknown(job.client_id)
        elif job.model_version not in (None, live):
            answers[job.job_id] = ModelChanged(live)
        else:  # the key, the client or the model changed between the two statements
            answers[job.job_id] = IdempotencyKeyInFlight()
    return answers


_LIVE_VERSION = text("""
SELECT v.version FROM predictq.models m JOIN predictq.model_versions v ON v.id = m.live_version_id WHERE m.is_default
""")


def _client_exists(connection: Connection, client_id: int) -> bool:
    query = text(f"SELECT 1 FROM {CLIENTS} WHERE client_id = :client_id")
    return connection.execute(query, {"client_id": client_id}).first() is not None


def earlier_job(
    connection: Connection, owner: str, key: str | None, payload_hash: str | None
) -> Accepted | IdempotencyKeyReused | Erased | None:
    """The job that `owner` was given for this key: None if there is none, an error if its payload was another.

    An erasure has forgotten what was asked for: then nothing can be compared, and the answer is Erased.
    """
    if key is None:
        return None
    row = connection.execute(_EARLIER, {"owner": owner, "key": key}).first()
    if row is None:
        return None
    if row.payload_hash is None:
        return Erased("The job of this Idempotency-Key")
    if row.payload_hash != payload_hash:
        return IdempotencyKeyReused()
    queue = Queue.INTERACTIVE if row.kind == "single" else Queue.BULK
    request_id = None if row.batch_id is None else RequestId(row.batch_id, row.row_number)
    return Accepted(row.job_id, row.version, queue, (), request_id, replayed=True)


_EARLIER = text("""
SELECT k.job_id, k.payload_hash, j.kind, j.batch_id, j.row_number, v.version
FROM predictq.idempotency_keys k
JOIN predictq.jobs j ON j.id = k.job_id
JOIN predictq.model_versions v ON v.id = j.model_version_id
WHERE k.owner = :owner AND k.key = :key
""")


def claim_idempotency_key(
    connection: Connection, owner: str, key: str | None, payload_hash: str | None, job_id: UUID
) -> Accepted | None:
    """Keep `key` for `job_id`, in this transaction; returns the earlier job when the key is known.

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
    if earlier is None:
        connection.execute(
            text("""INSERT INTO predictq.idempotency_keys (owner, key, payload_hash, job_id)
                    VALUES (:owner, :key, :hash, :job_id)"""),
            {"owner": owner, "key": key, "hash": payload_hash, "job_id": str(job_id)},
        )
    return earlier
