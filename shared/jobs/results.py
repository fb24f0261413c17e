"""Reading answers: the rows of a job in submission order, out of its pages.

While a job runs, its rows are given up to the first batch that is still open: so a reader who goes on from where
it stopped never misses a row, whichever batch finishes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from shared.pages.request_id import RequestId
from shared.postgres.engine import driver_connection

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

    request_id: str
    client_id: int | None  # None where the features were given in the call
    probability: float | None
    label: int | str | None
    threshold: float | None
    model_version: int
    error_code: str | None
    error_detail: str | None


@dataclass(frozen=True, slots=True)
class Readable:
    """How far the results of a job can be read: batches below `end`, and whether that is all there will be."""

    end: int
    complete: bool


_READABLE = text("""
SELECT j.kind, j.batch_id, o.batch_id IS NOT NULL AS is_answered,
       (SELECT max(o.batch_id) FROM predictq.batch_outputs o
        WHERE o.job_id = j.id AND o.batch_id >= j.first_batch_id) AS last,
       b.first_open, b.is_open
FROM predictq.jobs j
LEFT JOIN predictq.batch_outputs o ON o.batch_id = j.batch_id
CROSS JOIN LATERAL (
    SELECT min(b.id) FILTER (WHERE b.queue <> 'plan') AS first_open, count(*) > 0 AS is_open
    FROM predictq.prediction_batches b WHERE b.job_id = j.id
) b
WHERE j.id = :id
""")


def readable(connection: Connection, job_id: UUID) -> Readable | None:
    """How far a job's results can be read now; None where no row can be given yet."""
    row = connection.execute(_READABLE, {"id": str(job_id)}).one()
    if row.kind == "single":
        return Readable(row.batch_id + 1, complete=True) if row.is_answered else None
    if row.last is None:
        return None if row.is_open else Readable(0, complete=True)
    end = min(row.last + 1, row.first_open) if row.first_open is not None else row.last + 1
    return Readable(end, complete=not row.is_open)


class _Page(NamedTuple):
    """The rows of one batch that are to be read: from `first` on, before `last`."""

    batch_id: int
    first: int
    last: int
    is_clean: bool  # each row has an answer
    version: int
    classes: list[Any]

    def parameters(self) -> dict[str, Any]:
        """What the statements below are given: the names of the classes as JSON and as text."""
        names = self.classes if len(self.classes) == 2 else (None, None)
        (negative, positive), (negative_text, positive_text) = map(json.dumps, names), map(_text, names)
        return {
            **self._asdict(),
            "prefix": f"{self.batch_id}-",
            "classes": json.dumps(self.classes),
            "negative": negative,
            "positive": positive,
            "negative_text": negative_text,
            "positive_text": positive_text,
        }


def _text(name: Any) -> str | None:
    return name if name is None or isinstance(name, str) else json.dumps(name)


_PAGES = text("""
SELECT o.batch_id, 0 AS first, o.request_count AS last,
       o.succeeded = o.request_count AND o.erased_rows IS NULL AS is_clean, v.version, v.classes
FROM predictq.jobs j
JOIN predictq.batch_outputs o ON o.job_id = j.id AND o.batch_id >= j.first_batch_id
JOIN predictq.model_versions v ON v.id = o.model_version_id
WHERE j.id = :job_id AND j.kind = 'bulk' AND o.cancelled < o.request_count
    AND o.batch_id >= :after_batch AND o.batch_id < :end
UNION ALL
SELECT j.batch_id, j.row_number, j.row_number + 1, false, v.version, v.classes
FROM predictq.jobs j JOIN predictq.model_versions v ON v.id = j.model_version_id
WHERE j.id = :job_id AND j.kind = 'single' AND j.status IS DISTINCT FROM 'cancelled' AND j.batch_id < :end
ORDER BY batch_id LIMIT :limit
""")

# All arrays of a page are opened once, side by side: a subscript would open an array anew for each row. What all rows
# of a page have in common comes with the statement. A page in which each row has an answer, as most are, is read as it
# lies: the join with its errors and the sort after it would cost as much again.
_JSON_LABEL = """CASE WHEN u.label IS NOT NULL THEN (%(classes)s::jsonb -> u.label::integer)::json
                 WHEN u.value >= o.threshold THEN %(positive)s::json
                 WHEN u.value IS NOT NULL THEN %(negative)s::json END"""
_TEXT_LABEL = """CASE WHEN u.label IS NOT NULL THEN %(classes)s::jsonb ->> u.label::integer
                 WHEN u.value >= o.threshold THEN %(positive_text)s
                 WHEN u.value IS NOT NULL THEN %(negative_text)s END"""
_COLUMNS = """
SELECT %(prefix)s || (u.n - 1) AS request_id, u.key_int8 AS client_id, u.value AS probability,
       {label} AS label, CASE WHEN u.value IS NOT NULL THEN o.threshold END AS threshold,
       %(version)s AS model_version, {error}
FROM predictq.batch_outputs o
JOIN predictq.batch_requests p ON p.batch_id = o.batch_id
CROSS JOIN LATERAL ROWS FROM (unnest(o."values"), unnest(o.labels), unnest(p.keys_int8))
    WITH ORDINALITY AS u (value, label, key_int8, n)
"""
_CLEAN = (
    _COLUMNS.replace("{error}", "NULL AS error_code, NULL AS error_detail")
    + "WHERE o.batch_id = %(batch_id)s AND u.n > %(first)s AND u.n <= %(last)s"
)
_WITH_ERRORS = (
    _COLUMNS.replace("{error}", "e.code AS error_code, e.detail AS error_detail")
    + """
LEFT JOIN LATERAL ROWS FROM (unnest(o.error_rows), unnest(o.error_codes), unnest(o.error_details))
    AS e (row, code, detail) ON e.row = u.n - 1
WHERE o.batch_id = %(batch_id)s AND u.n > %(first)s AND u.n <= %(last)s
    AND (o.cancelled_rows IS NULL OR u.n - 1 <> ALL (o.cancelled_rows))
    AND (o.gone_rows IS NULL OR u.n - 1 <> ALL (o.gone_rows))
ORDER BY u.n
"""
)


def _rows(page: _Page, *, as_json: bool) -> str:
    """The statement for the rows of a page; labels as JSON values, or as text."""
    label = _JSON_LABEL if as_json else _TEXT_LABEL
    return (_CLEAN if page.is_clean else _WITH_ERRORS).replace("{label}", label)


def _pages(
    connection: Connection, job_id: UUID, *, after: RequestId | None, end: int, limit: int | None
) -> Iterator[_Page]:
    """The pages that have rows after `after` and in a batch below `end`, in order, from the first such row on."""
    after_batch = 0 if after is None else after.batch_id
    values = {"job_id": str(job_id), "after_batch": after_batch, "end": end, "limit": limit}
    for page in map(_Page._make, connection.execute(_PAGES, values).all()):
        first = page.first
        if after is not None and page.batch_id <= after.batch_id:
            first = max(first, after.row + 1)
        if first < page.last:
            yield page._replace(first=first)


def read_results(
    connection: Connection, job_id: UUID, *, end: int, after: RequestId | None, limit: int
) -> list[ResultRow]:
    """At most `limit` rows after `after`, in batches below `end`, in submission order."""
    rows: list[ResultRow] = []
    # A page has a row at least, but the first one may have been read up to its end.
    for page in _pages(connection, job_id, after=after, end=end, limit=limit + 1):
        query = f"{_rows(page, as_json=True)} LIMIT %(limit)s"
        found = connection.exec_driver_sql(query, {**page.parameters(), "limit": limit - len(rows)})
        rows += [ResultRow(*row) for row in found]
        if len(rows) == limit:
            break
    return rows


def copy_results(connection: Connection, job_id: UUID, *, end: int, target: IO[bytes], as_json: bool = False) -> None:
    """Write all rows in batches below `end` to `target`: CSV with a header, or one JSON object per line.

    PostgreSQL formats the rows and they pass as they are: no Python object per row, memory flat. Page by page,
    so that the first rows come at once and nothing large is sorted.
    """
    if not as_json:
        target.write((",".join(RESULT_COLUMNS) + "\n").encode())
    for page in _pages(connection, job_id, after=None, end=end, limit=None):
        rows = _rows(page, as_json=as_json)
        # JSON goes as CSV with a quote and a delimiter that JSON text never holds, so that COPY's escaping stays out.
        copy = (
            f"COPY (SELECT row_to_json(t) FROM ({rows}) t) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
            if as_json
            else f"COPY ({rows}) TO STDOUT (FORMAT csv)"
        )
        with driver_connection(connection).cursor() as cursor:
            cursor.copy_expert(cursor.mogrify(copy, page.parameters()).decode(), target)
