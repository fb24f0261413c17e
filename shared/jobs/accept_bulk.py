"""Acceptance of bulk jobs: by a list of client ids of any length, or by a filter on `clients`.

Rows go from the source to PostgreSQL by COPY: memory is flat in their number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from shared.errors import IdempotencyKeyInFlight, NoLiveModel, NothingSelected
from shared.jobs.accept_singles import Accepted, claim_idempotency_key
from shared.postgres.copy_in import BINARY_HEADER, BINARY_TRAILER, copy_in
from shared.postgres.engine import transaction
from shared.postgres.tables import REQUESTS_PER_BATCH
from shared.sources.selection import filter_condition, selected_clients
from shared.status import Queue

_SHARES = 8  # batches that a job of middling size is cut into, so that workers share it
_LEAST_ROWS = 5_000  # below this a batch's claim and commit are felt: 10 ms of CPU, and some 9 µs per row
_COPY_ROWS = 1_000  # rows in one piece of COPY data: PostgreSQL works on one while the next is made
_COPY_ROW = "hiqi16siq"  # number of fields, then length and value of request_id, job_id and client_id
_LATE = 0.1  # the share of the grace that rows may take to arrive without the grace being started again


@dataclass(frozen=True, slots=True)
class BulkJob:
    """What to accept, but for the rows."""

    job_id: UUID
    owner: str
    batch_rows: int  # at most, per batch
    idempotency_key: str | None = None
    payload_hash: str | None = None  # SHA-256 of what was asked, in hex; given with the key
    grace_seconds: float = 4.0  # from the commit until the sweeper looks after batches whose message is missing

    def sized(self, count: int) -> BulkJob:
        """The same with smaller batches where `count` rows would else be too few batches to share among workers."""
        return replace(self, batch_rows=min(self.batch_rows, max(_LEAST_ROWS, -(-count // _SHARES))))


def accept_ids(engine: Engine, job: BulkJob, client_ids: Iterable[int], count: int) -> Accepted:
    """Commit a bulk job of `count` client ids, read once and in order from `client_ids`.

    Raises NoLiveModel, NothingSelected, IdempotencyKeyReused, IdempotencyKeyInFlight or DatabaseUnavailable.
    """
    with _bulk_transaction(engine) as connection:
        earlier = claim_idempotency_key(connection, job.owner, job.idempotency_key, job.payload_hash)
        if earlier is not None:
            return earlier
        return _insert(connection, job, client_ids, count)


def accept_filter(
    engine: Engine, job: BulkJob, where: Mapping[str, Any], *, check_count: Callable[[int], None] | None = None
) -> Accepted:
    """Commit a bulk job of every client whose columns equal `where`, ordered by client id; {} selects all.

    `check_count` is told how many there are before anything is written; what it raises ends the acceptance.
    Raises FilterRefused besides what `accept_ids` raises.
    """
    condition = filter_condition(where)
    with _bulk_transaction(engine) as connection:
        earlier = claim_idempotency_key(connection, job.owner, job.idempotency_key, job.payload_hash)
        if earlier is not None:
            return earlier
        with selected_clients(connection, condition) as selection:
            if check_count is not None:
                check_count(selection.count)
            return _insert(connection, job, selection, selection.count)


def _insert(connection: Connection, job: BulkJob, client_ids: Iterable[int], count: int) -> Accepted:
    job = job.sized(count)
    with _grace(connection, job):
        accepted = _insert_job(connection, job, count)
        copy_in(
            connection,
            "COPY prediction_requests (request_id, job_id, client_id) FROM STDIN (FORMAT binary)",
            _request_rows(job, accepted.batch_ids, client_ids),
        )
    return accepted


@contextmanager
def _bulk_transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with transaction(engine) as connection:
            yield connection
    except IntegrityError as error:
        if "jobs_idempotency" not in str(error.orig):
            raise
        # A single job with that key was committed between the look-up and the insert.
        raise IdempotencyKeyInFlight from error


def _insert_job(connection: Connection, job: BulkJob, count: int) -> Accepted:
    """Insert the job and its batches; the ids of the batches rise in row order."""
    if count == 0:
        raise NothingSelected
    values = {
        "id": job.job_id,
        "owner": job.owner,
        "count": count,
        "key": job.idempotency_key,
        "hash": job.payload_hash,
        "queue": Queue.BULK.value,
        "rows": job.batch_rows,
        "grace": job.grace_seconds,
    }
    row = connection.execute(_INSERT_JOB, values).one_or_none()
    if row is None:
        raise NoLiveModel
    batch_ids = tuple(row.batch_ids)
    return Accepted(job.job_id, row.version, Queue.BULK, batch_ids, created_at=row.created_at, request_count=count)


# Ids are drawn while the rows are inserted, in order: the first batch has the lowest. All but the last are full.
_INSERT_JOB = text("""
WITH live AS MATERIALIZED (
    SELECT version FROM model_versions WHERE is_live
), job AS (
    INSERT INTO jobs (id, kind, owner, model_version, request_count, idempotency_key, payload_hash)
    SELECT :id, 'bulk', :owner, version, :count, :key, :hash FROM live
    RETURNING created_at
), batches AS (
    INSERT INTO prediction_batches (job_id, queue, model_version, request_count, dispatch_after)
    SELECT :id, :queue, version, least(:rows, :count - n * :rows), clock_timestamp() + make_interval(secs => :grace)
    FROM live CROSS JOIN generate_series(0, (:count - 1) / :rows) AS n ORDER BY n
    RETURNING id
)
SELECT version, created_at, (SELECT array_agg(id ORDER BY id) FROM batches) AS batch_ids FROM live, job
""")


@contextmanager
def _grace(connection: Connection, job: BulkJob) -> Iterator[None]:
    """Insert a job's batches and rows in the block. The sweeper's grace starts when the rows are there, not when the
    batches were entered: the rows may take minutes to arrive.
    """
    began = monotonic()
    yield
    if monotonic() - began > _LATE * job.grace_seconds:
        connection.execute(
            text("""UPDATE prediction_batches SET dispatch_after = clock_timestamp() + make_interval(secs => :grace)
                    WHERE job_id = :id"""),
            {"id": str(job.job_id), "grace": job.grace_seconds},
        )


def _request_rows(job: BulkJob, batch_ids: Sequence[int], client_ids: Iterable[int]) -> Iterator[bytes]:
    """COPY data for all requests, in pieces. Binary: PostgreSQL takes it in a quarter less time than text."""
    source = iter(client_ids)
    job_id = job.job_id.bytes
    yield BINARY_HEADER
    for batch_id in batch_ids:
        first = batch_id * REQUESTS_PER_BATCH
        for start in range(first, first + job.batch_rows, _COPY_ROWS):
            ids = list(islice(source, min(_COPY_ROWS, first + job.batch_rows - start)))
            numbers = range(start, start + len(ids))
            fields = zip(repeat(3), repeat(8), numbers, repeat(16), repeat(job_id), repeat(8), ids, strict=False)
            yield struct.pack(">" + _COPY_ROW * len(ids), *chain.from_iterable(fields))
    yield BINARY_TRAILER
