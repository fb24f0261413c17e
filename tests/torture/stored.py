"""What PostgreSQL holds, read by plain SQL from the tables themselves, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg2.extensions import connection

from tests.torture.checking.page_reader import Cell, read_page


@dataclass(frozen=True)
class Job:
    """A job as its row and its view tell of it."""

    id: str
    key: str | None  # its Idempotency-Key
    kind: str
    status: str
    cancelled_at: float | None  # somebody asked for it in time; seconds since the epoch
    version: int
    request_count: int | None
    counts: tuple[int, int, int]  # succeeded, failed, cancelled
    batch_id: int | None  # of a single job, with its row
    row: int | None
    selection: dict[str, Any] | None
    error: str | None
    snapshots: int | None


@dataclass(frozen=True)
class Page:
    """A batch with all that is stored of it: the requests, the answers, and whether it is open."""

    batch_id: int
    job_ids: list[str] | None  # of single jobs
    job_id: str | None
    clients: list[int | None]
    given: list[dict[str, Any] | None]
    has_requests: bool
    has_outputs: bool
    is_open: bool
    outputs: int  # rows in batch_outputs; one is right
    request_count: int
    counts: tuple[int, int, int]
    version: int  # number of the model's version
    fence: int
    worker: str | None
    attempts: int
    claimed: float  # seconds since the epoch
    answered: float
    threshold: float | None
    values: list[float | None] | None
    errors: dict[int, str]
    cancelled: frozenset[int]
    erased: frozenset[int]  # rows of clients who were erased: blank
    content: bytes | None
    hashes: int
    has_filter: bool

    @cached_property
    def features(self) -> list[tuple[Cell, ...]]:
        """The features as scored, by row. Raises NoPage."""
        return [] if self.content is None else read_page(self.content)


def rows(session: connection, query: str) -> Iterator[dict[str, Any]]:
    """The rows of a query, few of them in memory at a time."""
    with session.cursor("rows") as cursor:  # named: on the server, so that memory stays flat
        cursor.itersize = 50
        cursor.execute(query)
        for row in cursor:
            yield dict(zip([column.name for column in cursor.description or ()], row, strict=True))


def hash_secret(session: connection) -> bytes:
    """What hashes of this installation are keyed by."""
    (row,) = rows(session, "SELECT hash_secret FROM predictq.installation")
    return bytes(row["hash_secret"])


def jobs(session: connection) -> dict[str, Job]:
    """All jobs by id."""
    return {row["id"]: _job(row) for row in rows(session, _JOBS)}


def _job(row: dict[str, Any]) -> Job:
    return Job(
        row["id"],
        row["key"],
        row["kind"],
        row["status"],
        row["cancelled_at"],
        row["version"],
        row["request_count"],
        (row["succeeded"], row["failed"], row["cancelled"]),
        row["batch_id"],
        row["row_number"],
        row["selection"],
        row["error_code"],
        row["snapshots"],
    )


_JOBS = """
SELECT j.id::text, k.key, j.kind, s.status, v.version, j.request_count,
       extract(epoch FROM j.cancelled_at)::float8 AS cancelled_at,
       coalesce(s.succeeded, 0)::int AS succeeded, coalesce(s.failed, 0)::int AS failed,
       coalesce(s.cancelled, 0)::int AS cancelled, j.batch_id, j.row_number, j.selection, j.error_code, j.snapshots
FROM predictq.jobs j
JOIN predictq.job_status s ON s.job_id = j.id
JOIN predictq.model_versions v ON v.id = j.model_version_id
LEFT JOIN predictq.idempotency_keys k ON k.job_id = j.id
"""


def pages(session: connection) -> Iterator[Page]:
    """All batches but plans, by id: each that has requests, answers or a row of open work."""
    for row in rows(session, _PAGES):
        count = row["request_count"] or 0
        yield Page(
            batch_id=row["batch_id"],
            job_ids=row["job_ids"],
            job_id=row["job_id"],
            clients=row["keys_int8"] or [None] * count,
            given=row["given"] or [None] * count,
            has_requests=row["has_requests"],
            has_outputs=row["outputs"] > 0,
            is_open=row["is_open"],
            outputs=row["outputs"],
            request_count=count,
            counts=(row["succeeded"] or 0, row["failed"] or 0, row["cancelled"] or 0),
            version=row["version"] or 0,
            fence=row["fence"] or 0,
            worker=row["worker"],
            attempts=row["attempts"] or 0,
            claimed=row["claimed"] or 0.0,
            answered=row["answered"] or 0.0,
            threshold=row["threshold"],
            values=row["values"],
            errors=dict(zip(row["error_rows"] or [], row["error_codes"] or [], strict=True)),
            cancelled=frozenset(row["cancelled_rows"] or []),
            erased=frozenset(row["erased_rows"] or []),
            content=None if row["features"] is None else bytes(row["features"]),
            hashes=row["hashes"],
            has_filter=row["has_filter"],
        )


# A batch is open work, or a page of answers; anything else, both or neither among them, is for the checker to name.
_PAGES = """
SELECT coalesce(r.batch_id, o.batch_id, b.id) AS batch_id, r.job_ids::text[],
       coalesce(r.job_id, o.job_id, b.job_id)::text AS job_id, r.keys_int8, r.given::json[] AS given,
       r.batch_id IS NOT NULL AS has_requests, b.id IS NOT NULL AS is_open,
       count(o.batch_id) OVER (PARTITION BY coalesce(r.batch_id, o.batch_id, b.id)) AS outputs,
       coalesce(r.request_count, o.request_count, b.request_count) AS request_count,
       o.succeeded, o.failed, o.cancelled, v.version, o.fence, o.worker, o.attempts,
       extract(epoch FROM o.claimed_at)::float8 AS claimed, extract(epoch FROM o.created_at)::float8 AS answered,
       o.threshold, o."values", o.error_rows, o.error_codes, o.cancelled_rows, o.features,
       coalesce(o.erased_rows, b.erased_rows) AS erased_rows,
       (SELECT count(*) FROM predictq.key_hashes h WHERE h.batch_id = o.batch_id) AS hashes,
       o.key_filter IS NOT NULL AS has_filter
FROM predictq.batch_requests r
FULL JOIN predictq.batch_outputs o ON o.batch_id = r.batch_id
FULL JOIN (SELECT * FROM predictq.prediction_batches WHERE queue <> 'plan') b ON b.id = coalesce(r.batch_id, o.batch_id)
LEFT JOIN predictq.model_versions v ON v.id = o.model_version_id
ORDER BY 1
"""
