"""Acceptance of single jobs: what makes a 202 true.

One statement commits the jobs, their batches and their pages of requests, or nothing. Jobs of one model version share a
batch; those that bring their features share another, which waits for no source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, text

from shared.errors import (
    ClientUnknown,
    Erased,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    ModelChanged,
    PredictqError,
)
from shared.jobs.accepting.chosen_version import chosen_version
from shared.jobs.accepting.erased_keys import erased_key_sql
from shared.jobs.accepting.key_locks import lock_of_key_sql
from shared.jobs.accepting.model_choice import DEFAULT, ModelChoice
from shared.jobs.accepting.singles_sql import ANYBODY, accept_statement
from shared.pages.request_id import RequestId
from shared.postgres.arrays import nullable_array_text
from shared.postgres.prepared import run_prepared
from shared.sources.keys import ClientKey
from shared.sources.lookup import Lookup, is_known
from shared.status import Queue


@dataclass(frozen=True, slots=True)
class Target:
    """What a job is for: a model, its source, how keys of it are stored, and how it is asked for one; None: it is not.

    With a source, a version that reads another one is not the model that was meant: ModelChanged.
    """

    choice: ModelChoice = DEFAULT
    storage: str = "text"
    lookup: Lookup | None = None
    source_id: int | None = None


ANY_TARGET = Target()


@dataclass(frozen=True, slots=True)
class SingleJob:
    """One prediction to accept: a client's key, or features as JSON text. With features a key is a reference only."""

    job_id: UUID
    owner: str
    target: Target
    key: ClientKey | None = None
    features: str | None = None
    idempotency_key: str | None = None
    payload_hash: str | None = None  # SHA-256 of what was asked, in hex; given with the key
    checked_version: int | None = None  # the number of the version whose signature the features were checked against


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that is in PostgreSQL. `batch_ids` are what to publish; empty for a replay, which was published."""

    job_id: UUID
    model: str
    model_version: int
    queue: Queue
    batch_ids: tuple[int, ...]
    request_id: RequestId | None = None  # of a single job
    replayed: bool = False  # the Idempotency-Key was known: this is the earlier job
    created_at: datetime | None = None  # of a job that was accepted just now
    request_count: int | None = 1  # rows of that job; None while they are counted


def accept_singles(
    connection: Connection, jobs: Sequence[SingleJob], *, look_up: bool = True
) -> list[Accepted | PredictqError]:
    """Commit single jobs together, in one statement; `connection` must be in autocommit.

    Without `look_up` no source is asked: a client that is not there gets its stated error from a worker.

    Returns, in the order of `jobs`, the accepted job or why it was not: ClientUnknown, NoLiveModel, ModelRequired,
    ModelUnknown, ModelVersionUnknown, IdempotencyKeyReused, ModelChanged (check the features again, then retry) or,
    where another gateway is accepting the same key right now, IdempotencyKeyInFlight.
    """
    if not jobs:
        return []
    # What brings its features is a batch of its own: it does not wait with others for their source. In one order, for
    # each order is a statement to be planned.
    targets = sorted(set(map(_batch_of, jobs)), key=_in_order)
    conditions = tuple(
        target.lookup.condition if look_up and target.lookup is not None else ANYBODY for target, _ in targets
    )
    arrays = {name: nullable_array_text(values) for name, values in _values(jobs, targets).items()}
    rows: Iterable[Any] = run_prepared(connection, accept_statement(conditions), arrays)
    accepted = {job_id: rest for job_id, *rest in rows}
    left = [job for job in jobs if job.job_id not in accepted]
    refusals = {job.job_id: _explain(connection, job, look_up=look_up) for job in left}
    answers: list[Accepted | PredictqError] = []
    for job in jobs:
        if job.job_id not in accepted:
            answers.append(refusals[job.job_id])
            continue
        batch_id, row, model, version, created_at = accepted[job.job_id]
        request_id = RequestId(batch_id, row)
        answers.append(
            Accepted(job.job_id, model, version, Queue.INTERACTIVE, (batch_id,), request_id, created_at=created_at)
        )
    return answers


def _batch_of(job: SingleJob) -> tuple[Target, bool]:
    return job.target, job.features is not None


def _in_order(batch: tuple[Target, bool]) -> tuple[Any, ...]:
    target, has_features = batch
    condition = target.lookup.condition if target.lookup else ""
    choice = target.choice
    return choice.model or "", choice.version or 0, target.source_id or 0, has_features, target.storage, condition


def _values(jobs: Sequence[SingleJob], targets: Sequence[tuple[Target, bool]]) -> dict[str, list[Any]]:
    numbers = {target: number for number, target in enumerate(targets, start=1)}
    return {
        "job_ids": [str(job.job_id) for job in jobs],
        "owners": [job.owner for job in jobs],
        "targets": [numbers[_batch_of(job)] for job in jobs],
        "keys_int8": [_key(job, "int8") for job in jobs],
        "keys_uuid": [_key(job, "uuid") for job in jobs],
        "keys_text": [_key(job, "text") for job in jobs],
        "spelled": [_spelled(job.key) for job in jobs],
        "features": [job.features for job in jobs],
        "keys": [job.idempotency_key for job in jobs],
        "hashes": [job.payload_hash for job in jobs],
        "versions": [job.checked_version for job in jobs],
        "models": [target.choice.model for target, _ in targets],
        "numbers": [target.choice.version for target, _ in targets],
        "sources": [target.source_id for target, _ in targets],
        "have_features": [has_features for _, has_features in targets],
    }


def _key(job: SingleJob, storage: str) -> str | int | None:
    if job.key is None or job.target.storage != storage:
        return None
    return int(job.key.canonical) if storage == "int8" else job.key.canonical


def _keys(job: SingleJob) -> dict[str, str | int | None]:
    return {job.target.storage: _key(job, job.target.storage)}


def _spelled(key: ClientKey | None) -> str | None:
    return None if key is None or key.spelled is None else orjson.dumps(key.spelled).decode()


def _explain(connection: Connection, job: SingleJob, *, look_up: bool) -> Accepted | PredictqError:
    """Why a job was not inserted: a known key (then the earlier job answers), no such model or version, no client."""
    earlier = earlier_job(connection, job.owner, job.idempotency_key, job.payload_hash)
    if earlier is not None:
        return earlier
    try:
        version = chosen_version(connection, job.target.choice)
    except PredictqError as error:
        return error
    if job.target.source_id not in (None, version.source_id):
        return ModelChanged(version.version)
    lookup = job.target.lookup
    if look_up and job.features is None and lookup is not None and not is_known(connection, lookup, _keys(job)):
        return ClientUnknown(lookup.source)
    if job.checked_version not in (None, version.version):
        return ModelChanged(version.version)
    return IdempotencyKeyInFlight()  # the key, the client or the model changed between the two statements


def earlier_job(
    connection: Connection, owner: str, key: str | None, payload_hash: str | None
) -> Accepted | IdempotencyKeyReused | Erased | None:
    """The job that `owner` was given for this key: None if there is none, an error if its payload was another.

    An erasure has forgotten what was asked for: then nothing can be compared, and the answer is Erased. It names a bulk
    job, of which more is left.
    """
    if key is None:
        return None
    row = connection.execute(_EARLIER, {"owner": owner, "key": key}).first()
    if row is None:
        return None
    if row.payload_hash is None:
        return Erased("The job of this Idempotency-Key", None if row.kind == "single" else row.job_id)
    if row.payload_hash != payload_hash:
        return IdempotencyKeyReused()
    queue = Queue.INTERACTIVE if row.kind == "single" else Queue.BULK
    request_id = None if row.batch_id is None else RequestId(row.batch_id, row.row_number)
    return Accepted(row.job_id, row.model, row.version, queue, (), request_id, replayed=True)


_EARLIER = text(f"""
SELECT k.job_id, k.payload_hash, j.kind, j.batch_id, j.row_number, v.model, v.version
FROM predictq.idempotency_keys k
JOIN predictq.jobs j ON j.id = k.job_id
JOIN predictq.model_versions v ON v.id = j.model_version_id
WHERE k.owner = :owner AND k.key IN (:key, {erased_key_sql("CAST(:key AS text)")})
""")


_HOLD_KEY = text(f"SELECT pg_try_advisory_xact_lock({lock_of_key_sql('CAST(:owner AS text)', 'CAST(:key AS text)')})")


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
    if not connection.execute(_HOLD_KEY, {"owner": owner, "key": key}).scalar_one():
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
