"""Reading answers: the rows of a job in submission order, and the full trace of one prediction.

While a job runs, its rows are given up to the first batch that is still open: so a reader who goes on from where
it stopped never misses a row, whichever batch finishes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.db import driver_connection
from shared.errors import PredictionUnknown
from shared.tables import REQUESTS_PER_BATCH

RESULT_COLUMNS = (
    "request_id",
    "client_id",
    "probability",
    "label",
    "threshold",
    "model_version",
    "error_code",
    "error_detail",
)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """The answer to one request: probability, label and threshold, or an error."""

    request_id: int
    client_id: int | None  # None where the features were given in the call
    probability: float | None
    label: int | None
    threshold: float | None
    model_version: int
    error_code: str | None
    error_detail: str | None


@dataclass(frozen=True, slots=True)
class Readable:
    """How far the results of a job can be read: request ids below `end`, and whether that is all there will be."""

    end: int
    complete: bool


def readable(connection: Connection, job_id: UUID) -> Readable | None:
    """How far a job's results can be read now; None where no row can be given yet."""
    row = connection.execute(
        text("""
SELECT min(b.id) FILTER (WHERE b.status IN ('queued', 'running')) AS first_open, min(b.id) AS first, max(b.id) AS last
FROM jobs j JOIN prediction_batches b
    ON CASE j.kind WHEN 'bulk' THEN b.job_id = j.id ELSE b.id = batch_of(j.request_id) END
WHERE j.id = :id
"""),
        {"id": str(job_id)},
    ).one()
    if row.first is None or row.first_open == row.first:
        return None
    end = row.last + 1 if row.first_open is None else row.first_open
    return Readable(end * REQUESTS_PER_BATCH, row.first_open is None)


# The batches lead: each is one range of both primary keys, read in order, whatever the size of the tables.
_ROWS = f"""
SELECT o.request_id, r.client_id, o.probability, o.label, o.threshold, o.model_version, o.error_code, o.error_detail
FROM (
    SELECT id FROM prediction_batches WHERE job_id = %(job_id)s AND id >= %(after)s / {REQUESTS_PER_BATCH}
        AND id < %(end)s / {REQUESTS_PER_BATCH} AND status = 'finished'
    UNION ALL
    SELECT batch_of(request_id) FROM jobs WHERE id = %(job_id)s AND kind = 'single'
    ORDER BY id
) b
CROSS JOIN LATERAL (
    SELECT * FROM prediction_outputs
    WHERE request_id >= b.id * {REQUESTS_PER_BATCH} AND request_id < (b.id + 1) * {REQUESTS_PER_BATCH}
    ORDER BY request_id
) o
JOIN prediction_requests r ON r.request_id = o.request_id AND r.job_id = %(job_id)s
WHERE o.request_id > %(after)s AND o.request_id < %(end)s
"""


def read_results(connection: Connection, job_id: UUID, *, end: int, after: int, limit: int) -> list[ResultRow]:
    """At most `limit` rows with request ids above `after` and below `end`, in submission order."""
    rows = connection.exec_driver_sql(
        f"{_ROWS} ORDER BY o.request_id LIMIT %(limit)s",
        {"job_id": str(job_id), "end": end, "after": after, "limit": limit},
    )
    return [ResultRow(*row) for row in rows]


def copy_results(connection: Connection, job_id: UUID, *, end: int, target: IO[bytes], as_json: bool = False) -> None:
    """Write all rows below `end` to `target`: CSV with a header, or one JSON object per line.

    PostgreSQL formats the rows and they pass as they are: no Python object per row, memory flat.
    """
    query = f"{_ROWS} ORDER BY o.request_id"
    if as_json:
        # CSV with a quote and a delimiter that JSON text never holds, so that COPY's escaping stays out of it.
        query = f"SELECT row_to_json(t) FROM ({query}) t"
        options = "FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02'"
    else:
        options = "FORMAT csv, HEADER true"
    with driver_connection(connection).cursor() as cursor:
        bound = cursor.mogrify(f"COPY ({query}) TO STDOUT ({options})", {"job_id": str(job_id), "end": end, "after": 0})
        cursor.copy_expert(bound.decode(), target)


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that made one answer. The fields after `worker` are None until the request is answered."""

    request_id: int
    job_id: UUID
    job_kind: str
    owner: str
    client_id: int | None
    model_version: int
    model_name: str
    model_sha256: str
    batch_id: int
    attempts: int
    accepted_at: datetime
    worker: str | None
    client_version: int | None
    probability: float | None
    label: int | None
    threshold: float | None
    error_code: str | None
    error_detail: str | None
    features_from: str | None  # "request", "clients" or "clients_history"
    features: dict[str, Any] | None  # as they were scored
    fence: int | None
    claimed_at: datetime | None
    answered_at: datetime | None


def read_trace(connection: Connection, request_id: int, owner: str) -> Trace:
    """The trace of one prediction of `owner`. Raises PredictionUnknown, also where it is another owner's."""
    row = connection.execute(
        text(f"SELECT {', '.join(Trace.__slots__)} FROM prediction_trace WHERE request_id = :id AND owner = :owner"),
        {"id": request_id, "owner": owner},
    ).one_or_none()
    if row is None:
        raise PredictionUnknown(request_id)
    return Trace(**row._asdict())
