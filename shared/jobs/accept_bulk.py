"""Acceptance of bulk jobs: by a list of client ids of any length, or by a selection that a worker plans later.

A list goes to PostgreSQL by COPY, a page of ids at a time: memory is flat in the number of rows. A selection costs two
rows, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

from shared.errors import IdempotencyKeyInFlight, NoLiveModel, NothingSelected
from shared.jobs.accept_singles import Accepted, claim_idempotency_key
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import transaction
from shared.status import Queue

_SHARES = 8  # batches that a job of middling size is cut into, so that workers share it
_LEAST_ROWS = 5_000  # below this a batch's claim and commit are felt: 10 ms of CPU, and some 9 µs per row


@dataclass(frozen=True, slots=True)
class BulkJob:
    """What to accept, but for the rows."""

    job_id: UUID
    owner: str
    batch_rows: int  # at most, per batch
    idempotency_key: str | None = None
    payload_hash: str | None = None  # SHA-256 of what was asked, in hex; given with the key

    def sized(self, count: int) -> BulkJob:
        """The same with smaller batches where `count` rows would else be too few batches to share among workers."""
        return replace(self, batch_rows=rows_per_batch(count, most=self.batch_rows))


def rows_per_batch(count: int, *, most: int) -> int:
    """How many of `count` rows go into one batch, at most `most`."""
    return min(most, max(_LEAST_ROWS, -(-count // _SHARES)))


class IdPages(Protocol):
    """Client ids that can be read from the start again."""

    def pages(self, rows: int) -> Iterator[bytes]:
        """The ids in order, `rows` at a time, as decimal text separated by commas."""


@dataclass(frozen=True, slots=True)
class ListedIds:
    """Client ids in a list."""

    ids: Sequence[int]

    def pages(self, rows: int) -> Iterator[bytes]:
        """See IdPages."""
        for start in range(0, len(self.ids), rows):
            yield ",".join(map(str, self.ids[start : start + rows])).encode()


def accept_ids(engine: Engine, job: BulkJob, client_ids: IdPages, count: int) -> Accepted:
    """Commit a bulk job of `count` client ids.

    Raises NoLiveModel, NothingSelected, IdempotencyKeyReused, IdempotencyKeyInFlight or DatabaseUnavailable.
    """
    if count == 0:
        raise NothingSelected
    job = job.sized(count)
    with _bulk_transaction(engine) as connection:
        earlier = _keep_key(connection, job)
        if earlier is not None:
            return earlier
        row = connection.execute(_INSERT_LISTED, {**_values(job), "count": count, "rows": job.batch_rows}).one_or_none()
        if row is None:
            raise NoLiveModel
        copy_in(connection, _COPY_PAGES, _page_rows(job, row, client_ids.pages(job.batch_rows), count))
    return Accepted(
        job.job_id, row.version, Queue.BULK, tuple(row.batch_ids), created_at=row.created_at, request_count=count
    )


def accept_selection(engine: Engine, job: BulkJob, where: Mapping[str, Any]) -> Accepted:
    """Commit a bulk job of every client whose columns equal `where`; {} selects all. A worker's planner finds them.

    Raises what `accept_ids` raises but NothingSelected: a job that selects nobody ends with no rows.
    """
    with _bulk_transaction(engine) as connection:
        earlier = _keep_key(connection, job)
        if earlier is not None:
            return earlier
        row = connection.execute(_INSERT_SELECTED, {**_values(job), "selection": {"where": dict(where)}}).one_or_none()
    if row is None:
        raise NoLiveModel
    return Accepted(job.job_id, row.version, Queue.PLAN, (row.batch_id,), created_at=row.created_at, request_count=None)


def _keep_key(connection: Connection, job: BulkJob) -> Accepted | None:
    return claim_idempotency_key(connection, job.owner, job.idempotency_key, job.payload_hash, job.job_id)


def _values(job: BulkJob) -> dict[str, Any]:
    return {"id": str(job.job_id), "owner": job.owner}


@contextmanager
def _bulk_transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with transaction(engine) as connection:
            yield connection
    except IntegrityError as error:
        if "idempotency_keys" not in str(error.orig):
            raise
        # A single job with that key was committed between the look-up and the insert.
        raise IdempotencyKeyInFlight from error


_LIVE = """
live AS MATERIALIZED (
    SELECT v.id, v.version, v.requirements, m.source_id
    FROM predictq.models m JOIN predictq.model_versions v ON v.id = m.live_version_id WHERE m.is_default
)"""

# Ids are drawn in row order: the first batch has the lowest. All but the last are full.
_INSERT_LISTED = text(f"""
WITH {_LIVE}, ids AS MATERIALIZED (
    SELECT nextval('predictq.batch_ids') AS id, n
    FROM (SELECT n FROM live CROSS JOIN generate_series(0, (:count - 1) / :rows) AS n ORDER BY n) numbers
), job AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, request_count, first_batch_id)
    SELECT :id, 'bulk', :owner, l.id, l.source_id, :count, (SELECT min(id) FROM ids) FROM live l
    RETURNING created_at
), batches AS (
    INSERT INTO predictq.prediction_batches (id, queue, requirements, job_id, owner, model_version_id, request_count)
    SELECT i.id, '{Queue.BULK}', l.requirements, :id, :owner, l.id, least(:rows, :count - i.n * :rows)
    FROM ids i CROSS JOIN live l ORDER BY i.n
)
SELECT l.version, l.source_id, j.created_at, (SELECT array_agg(id ORDER BY id) FROM ids) AS batch_ids
FROM live l CROSS JOIN job j
""")

_INSERT_SELECTED = text(f"""
WITH {_LIVE}, plan AS (
    INSERT INTO predictq.prediction_batches (queue, requirements, job_id, owner, model_version_id, request_count)
    SELECT '{Queue.PLAN}', l.requirements, :id, :owner, l.id, 0 FROM live l RETURNING id
), job AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, selection, first_batch_id)
    SELECT :id, 'bulk', :owner, l.id, l.source_id, :selection, p.id FROM live l CROSS JOIN plan p
    RETURNING created_at
)
SELECT l.version, j.created_at, p.id AS batch_id FROM live l CROSS JOIN job j CROSS JOIN plan p
""").bindparams(bindparam("selection", type_=JSONB))

_COPY_PAGES = "COPY predictq.batch_requests (batch_id, request_count, source_id, job_id, keys_int8) FROM STDIN"


def _page_rows(job: BulkJob, row: Any, pages: Iterable[bytes], count: int) -> Iterator[bytes]:
    """COPY data for all pages of requests, one line each."""
    source = b"\\N" if row.source_id is None else b"%d" % row.source_id
    job_id = str(job.job_id).encode()
    left = count
    for batch_id, ids in zip(row.batch_ids, pages, strict=True):
        rows = min(left, job.batch_rows)
        left -= rows
        yield b"%d\t%d\t%b\t%b\t{%b}\n" % (batch_id, rows, source, job_id, ids)
