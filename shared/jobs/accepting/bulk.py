"""Acceptance of bulk jobs: by a list of client keys of any length, or by a selection that a worker plans later.

A list goes to PostgreSQL by COPY, a page of ids at a time: memory is flat in the number of rows. A selection costs two
rows, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

from shared.errors import (
    IdempotencyKeyInFlight,
    ModelChanged,
    NothingSelected,
    PredictqError,
    SourceNeeded,
)
from shared.jobs.accepting.chosen_version import chosen_version
from shared.jobs.accepting.key_pages import COPY_PAGES, KeyPage, KeyPages, page_line
from shared.jobs.accepting.model_choice import ModelChoice
from shared.jobs.accepting.singles import ANY_TARGET, Accepted, Target, claim_idempotency_key
from shared.postgres.copy_in import copy_in
from shared.postgres.engine import transaction
from shared.status import Queue
from shared.uploaded_files import keep_file
from shared.uploads.table_order import TableOrder

_SHARES = 8  # batches that a job of middling size is cut into, so that workers share it
_LEAST_ROWS = 5_000  # below this a batch's claim and commit are felt: 10 ms of CPU, and some 9 µs per row


@dataclass(frozen=True, slots=True)
class BulkJob:
    """What to accept, but for the rows."""

    job_id: UUID
    owner: str
    batch_rows: int  # at most, per batch
    target: Target = ANY_TARGET
    idempotency_key: str | None = None
    payload_hash: str | None = None  # SHA-256 of what was asked, in hex; given with the key
    name: str | None = None  # what its owner calls it
    deadline: datetime | None = None  # by then its rows are answered, or end in an error
    asked_for: str = "list"  # of what is no filter and no file to open: list, upload, repeat or retry
    asked_job: UUID | None = None  # which job is repeated or retried

    def sized(self, count: int) -> BulkJob:
        """The same with smaller batches where `count` rows would else be too few batches to share among workers."""
        return replace(self, batch_rows=rows_per_batch(count, most=self.batch_rows))


def rows_per_batch(count: int, *, most: int) -> int:
    """How many of `count` rows go into one batch, at most `most`."""
    return min(most, max(_LEAST_ROWS, -(-count // _SHARES)))


def accept_keys(engine: Engine, job: BulkJob, keys: KeyPages, count: int) -> Accepted:
    """Commit a bulk job of `count` rows: of these clients, or of the features in the pages, where a key is a reference.

    Raises NothingSelected, IdempotencyKeyReused, IdempotencyKeyInFlight, DatabaseUnavailable, and where there is no
    such model NoLiveModel, ModelRequired, ModelUnknown or ModelVersionUnknown.
    """
    if count == 0:
        raise NothingSelected
    job = job.sized(count)
    with _bulk_transaction(engine) as connection:
        earlier = _keep_key(connection, job)
        if earlier is not None:
            return earlier
        pages = keys.pages(job.batch_rows)
        first = next(pages)
        values = {**_values(job), "count": count, "rows": job.batch_rows, "reads_source": first.given is None}
        row = connection.execute(_INSERT_LISTED, values).one_or_none()
        if row is None:
            raise _no_version(connection, job.target.choice)
        copy = COPY_PAGES.format(storage=job.target.storage)
        copy_in(connection, copy, _page_rows(job, row, chain([first], pages), count))
    batch_ids = tuple(row.batch_ids)
    return Accepted(
        job.job_id, row.model, row.version, Queue.BULK, batch_ids, created_at=row.created_at, request_count=count
    )


def accept_selection(engine: Engine, job: BulkJob, where: Mapping[str, Any]) -> Accepted:
    """Commit a bulk job of the clients of the model's source that `where` selects, {} for all. A worker finds them.

    Raises what `accept_keys` raises but NothingSelected: a job that selects nobody ends with no rows; and SourceNeeded.
    """
    if job.asked_job is None:
        job = replace(job, asked_for="filter" if where else "all")
    return _accept_plan(engine, job, {"where": dict(where)}, needs_source=True)


def accept_table(engine: Engine, job: BulkJob, order: TableOrder) -> Accepted:
    """Commit a bulk job of the rows of a file that was sent. A worker opens it, and keeps it a day more for that.

    Raises what `accept_keys` raises but NothingSelected, and UploadUnknown.
    """
    job = replace(job, asked_for="upload")
    return _accept_plan(engine, job, {"where": {}, "upload": order.to_json()}, upload_id=order.upload_id)


def _accept_plan(
    engine: Engine,
    job: BulkJob,
    selection: Mapping[str, Any],
    *,
    needs_source: bool = False,
    upload_id: UUID | None = None,
) -> Accepted:
    with _bulk_transaction(engine) as connection:
        earlier = _keep_key(connection, job)
        if earlier is not None:
            return earlier
        if upload_id is not None:
            keep_file(connection, upload_id, job.owner)
        values = {**_values(job), "selection": dict(selection), "needs_source": needs_source}
        row = connection.execute(_INSERT_SELECTED, values).one_or_none()
        if row is None:
            raise _no_version(connection, job.target.choice, needs_source=needs_source)
    batch_ids = (row.batch_id,)
    return Accepted(
        job.job_id, row.model, row.version, Queue.PLAN, batch_ids, created_at=row.created_at, request_count=None
    )


def _no_version(connection: Connection, choice: ModelChoice, *, needs_source: bool = False) -> PredictqError:
    """Why no version was found for a choice."""
    try:
        found = chosen_version(connection, choice)
    except PredictqError as error:
        return error
    # Without a source, or another version went live between the two statements.
    return SourceNeeded(found.model) if needs_source and found.source_id is None else ModelChanged(found.version)


def _keep_key(connection: Connection, job: BulkJob) -> Accepted | None:
    return claim_idempotency_key(connection, job.owner, job.idempotency_key, job.payload_hash, job.job_id)


def _values(job: BulkJob) -> dict[str, Any]:
    return {
        "id": str(job.job_id),
        "owner": job.owner,
        "name": job.name,
        "deadline": job.deadline,
        "asked_for": job.asked_for,
        "asked_job": None if job.asked_job is None else str(job.asked_job),
        "model": job.target.choice.model,
        "number": job.target.choice.version,
        "source": job.target.source_id,
    }


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
    SELECT v.id, v.model, v.version, v.requirements, v.source_id
    FROM predictq.models m
    JOIN predictq.model_versions v ON v.model = m.name AND CASE WHEN CAST(:number AS integer) IS NULL
        THEN v.id = m.live_version_id ELSE v.version = CAST(:number AS integer) END
    WHERE v.retired_at IS NULL AND (CAST(:source AS integer) IS NULL OR v.source_id = CAST(:source AS integer))
      AND CASE WHEN CAST(:model AS text) IS NULL THEN m.is_default ELSE m.name = CAST(:model AS text) END
)"""

# Ids are drawn in row order: the first batch has the lowest. All but the last are full.
_INSERT_LISTED = text(f"""
WITH {_LIVE}, ids AS MATERIALIZED (
    SELECT nextval('predictq.batch_ids') AS id, n
    FROM (SELECT n FROM live CROSS JOIN generate_series(0, (:count - 1) / :rows) AS n ORDER BY n) numbers
), job AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, request_count, first_batch_id, name,
                               deadline, asked_for, asked_job)
    SELECT :id, 'bulk', :owner, l.id, l.source_id, :count,
           (SELECT min(id) FROM ids), :name, :deadline, :asked_for, :asked_job
    FROM live l
    RETURNING created_at
), batches AS (
    INSERT INTO predictq.prediction_batches (id, queue, requirements, job_id, owner, model_version_id, request_count,
                                             reads_source)
    SELECT i.id, '{Queue.BULK}', l.requirements, :id, :owner, l.id, least(:rows, :count - i.n * :rows), :reads_source
    FROM ids i CROSS JOIN live l ORDER BY i.n
)
SELECT l.model, l.version, l.source_id, j.created_at,
       (SELECT array_agg(id ORDER BY id) FROM ids) AS batch_ids
FROM live l CROSS JOIN job j
""")

_INSERT_SELECTED = text(f"""
WITH {_LIVE}, plan AS (
    INSERT INTO predictq.prediction_batches (queue, requirements, job_id, owner, model_version_id, request_count,
                                             reads_source)
    SELECT '{Queue.PLAN}', l.requirements, :id, :owner, l.id, 0, :needs_source FROM live l
    WHERE l.source_id IS NOT NULL OR NOT :needs_source RETURNING id
), job AS (
    INSERT INTO predictq.jobs (id, kind, owner, model_version_id, source_id, selection, first_batch_id, name, deadline,
                               asked_for, asked_job)
    SELECT :id, 'bulk', :owner, l.id, l.source_id, :selection, p.id, :name, :deadline, :asked_for, :asked_job
    FROM live l CROSS JOIN plan p
    RETURNING created_at
)
SELECT l.model, l.version, j.created_at, p.id AS batch_id FROM live l CROSS JOIN job j CROSS JOIN plan p
""").bindparams(bindparam("selection", type_=JSONB))


def _page_rows(job: BulkJob, row: Any, pages: Iterable[KeyPage], count: int) -> Iterator[bytes]:
    """COPY data for all pages of requests, one line each."""
    left = count
    for batch_id, page in zip(row.batch_ids, pages, strict=True):
        rows = min(left, job.batch_rows)
        left -= rows
        yield page_line(batch_id, rows, row.source_id, job.job_id, page)
