"""Reading answers: the rows of a job in submission order, and the full trace of one prediction.

While a job runs, its rows are given up to the first batch that is still open: so a reader who goes on from where
it stopped never misses a row, whichever batch finishes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import PredictionUnknown
from shared.postgres.engine import driver_connection
from shared.postgres.tables import REQUESTS_PER_BATCH
from shared.sources.sample_features import CLIENT_FEATURE_NAMES

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


_BATCHES = text(f"""
SELECT id FROM prediction_batches
WHERE job_id = :job_id AND status = 'finished'
    AND id >= :after / {REQUESTS_PER_BATCH} AND id < :end / {REQUESTS_PER_BATCH}
UNION ALL
SELECT batch_of(request_id) FROM jobs
WHERE id = :job_id AND kind = 'single' AND request_id > :after AND request_id < :end
ORDER BY id LIMIT :limit
""")

# One range of both primary keys: a merge of two index scans, already in order, whatever the size of the tables.
_ROWS = """
SELECT o.request_id, r.client_id, o.probability, o.label, o.threshold, o.model_version, o.error_code, o.error_detail
FROM prediction_outputs o JOIN prediction_requests r ON r.request_id = o.request_id AND r.job_id = %(job_id)s
WHERE o.request_id >= %(first)s AND o.request_id < %(last)s AND r.request_id >= %(first)s AND r.request_id < %(last)s
ORDER BY o.request_id
"""


def _ranges(
    connection: Connection, job_id: UUID, *, after: int, end: int, limit: int | None
) -> Iterator[dict[str, Any]]:
    """The parameters of `_ROWS` for each batch that has rows above `after` and below `end`, in order."""
    batches = connection.execute(_BATCHES, {"job_id": str(job_id), "after": after, "end": end, "limit": limit})
    for batch_id in batches.scalars().all():
        first = batch_id * REQUESTS_PER_BATCH
        yield {
            "job_id": str(job_id),
            "first": max(first, after + 1),
            "last": min(first + REQUESTS_PER_BATCH, end),
        }


def read_results(connection: Connection, job_id: UUID, *, end: int, after: int, limit: int) -> list[ResultRow]:
    """At most `limit` rows with request ids above `after` and below `end`, in submission order."""
    rows: list[ResultRow] = []
    # A finished batch has a row at least, but the first one may have been read up to its end.
    for limits in _ranges(connection, job_id, after=after, end=end, limit=limit + 1):
        found = connection.exec_driver_sql(f"{_ROWS} LIMIT %(limit)s", {**limits, "limit": limit - len(rows)})
        rows += [ResultRow(*row) for row in found]
        if len(rows) == limit:
            break
    return rows


def copy_results(connection: Connection, job_id: UUID, *, end: int, target: IO[bytes], as_json: bool = False) -> None:
    """Write all rows below `end` to `target`: CSV with a header, or one JSON object per line.

    PostgreSQL formats the rows and they pass as they are: no Python object per row, memory flat. Batch by batch,
    so that the first rows come at once and nothing is sorted.
    """
    if as_json:
        # CSV with a quote and a delimiter that JSON text never holds, so that COPY's escaping stays out of it.
        copy = (
            f"COPY (SELECT row_to_json(t) FROM ({_ROWS}) t) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
        )
    else:
        copy = f"COPY ({_ROWS}) TO STDOUT (FORMAT csv)"
        target.write((",".join(RESULT_COLUMNS) + "\n").encode())
    for limits in _ranges(connection, job_id, after=0, end=end, limit=None):
        with driver_connection(connection).cursor() as cursor:
            cursor.copy_expert(cursor.mogrify(copy, limits).decode(), target)


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
    return Trace(**{**row._asdict(), "features": row.features and _in_column_order(row.features)})


def _in_column_order(features: dict[str, Any]) -> dict[str, Any]:
    """The features as people know them: in the order of the table, where jsonb goes by the length of the name."""
    known = {name: features[name] for name in CLIENT_FEATURE_NAMES if name in features}
    return known | features
