"""Reading answers: the rows of a job in submission order, out of its pages.

While a job runs, its rows are given up to the first batch that is still open: so a reader who goes on from where
it stopped never misses a row, whichever batch finishes first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import JobUnknown
from shared.jobs.result_columns import result_columns
from shared.jobs.result_sql import JobShape, Page, error_statement, statement
from shared.models.task import Task
from shared.pages.request_id import RequestId, parse_request_id
from shared.postgres.engine import driver_connection


@dataclass(frozen=True, slots=True)
class Readable:
    """How far the results of a job can be read: batches below `end`, and whether that is all there will be."""

    end: int
    complete: bool


_READABLE = text("SELECT * FROM predictq.read_extent(CAST(:id AS uuid))")


def readable(connection: Connection, job_id: UUID) -> Readable | None:
    """How far a job's results can be read now; None where no row can be given yet."""
    row = connection.execute(_READABLE, {"id": str(job_id)}).one()
    if row.kind == "single":
        return Readable(row.batch_id + 1, complete=True) if row.is_answered else None
    if row.last_batch_id is None:
        return None if row.is_open else Readable(0, complete=True)
    end = row.last_batch_id + 1 if row.first_open is None else min(row.last_batch_id + 1, row.first_open)
    return Readable(end, complete=not row.is_open)


_SHAPE = text("""
SELECT v.model, v.version, v.task, v.classes, s.key_columns
FROM predictq.jobs j
JOIN predictq.model_versions v ON v.id = j.model_version_id
LEFT JOIN predictq.sources s ON s.id = coalesce(j.source_id, v.source_id)  -- a key beside features is of the model's
WHERE j.id = :id
""")


def read_shape(connection: Connection, job_id: UUID) -> JobShape:
    """What all rows of a job have in common. Raises JobUnknown."""
    row = connection.execute(_SHAPE, {"id": str(job_id)}).one_or_none()
    if row is None:
        raise JobUnknown(job_id)
    return JobShape(row.model, row.version, Task(row.task), row.classes, row.key_columns)


_PAGES = text("""
SELECT p.batch_id, p.first, p.last, p.is_clean,
       CASE WHEN r.keys_int8 IS NOT NULL THEN 'int8' WHEN r.keys_uuid IS NOT NULL THEN 'uuid'
            WHEN r.keys_text IS NOT NULL THEN 'text' END AS storage, r.spelled IS NOT NULL AS has_spellings
FROM (
    SELECT o.batch_id, 0 AS first, o.request_count AS last,
           o.succeeded = o.request_count AND o.erased_rows IS NULL AS is_clean
    FROM predictq.jobs j
    JOIN predictq.batch_outputs o ON o.job_id = j.id AND o.batch_id >= j.first_batch_id
    WHERE j.id = :job_id AND j.kind = 'bulk' AND o.succeeded + o.failed > 0  -- else cancelled, what is left of it
        AND (NOT CAST(:only_errors AS boolean) OR o.failed > 0 OR o.erased_rows IS NOT NULL)
        AND o.batch_id >= :after_batch AND o.batch_id < :end
    UNION ALL
    SELECT j.batch_id, j.row_number, j.row_number + 1, false
    FROM predictq.jobs j
    WHERE j.id = :job_id AND j.kind = 'single' AND j.status IS DISTINCT FROM 'cancelled' AND j.batch_id < :end
    ORDER BY batch_id LIMIT :limit
) p JOIN predictq.batch_requests r
    ON r.batch_id = p.batch_id AND r.batch_id >= :after_batch AND r.batch_id < :end  -- numbers that the planner knows
ORDER BY p.batch_id
""")


def _pages(
    connection: Connection,
    job_id: UUID,
    *,
    after: RequestId | None,
    end: int,
    limit: int | None,
    only_errors: bool = False,
) -> Iterator[Page]:
    """The pages that have rows after `after` and in a batch below `end`, in order, from the first such row on."""
    after_batch = _first_batch(connection, job_id) if after is None else after.batch_id
    values = {
        "job_id": str(job_id),
        "after_batch": after_batch,
        "end": end,
        "limit": limit,
        "only_errors": only_errors,
    }
    for page in map(Page._make, connection.execute(_PAGES, values).all()):
        first = page.first
        if after is not None and page.batch_id <= after.batch_id:
            first = max(first, after.row + 1)
        if first < page.last:
            yield page._replace(first=first)


def _first_batch(connection: Connection, job_id: UUID) -> int:
    """Asked apart: by a number that it knows the planner leaves older partitions out."""
    query = text("SELECT coalesce(first_batch_id, batch_id) FROM predictq.jobs WHERE id = :id")
    return connection.execute(query, {"id": str(job_id)}).scalar() or 0


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a job: JSON objects with commas between them, how many, and the last one's id; None without any."""

    rows: bytes
    count: int
    last: RequestId | None
    has_more: bool


# One row more than is wanted tells whether there are more.
_AS_JSON = """
SELECT string_agg(line, ',') FILTER (WHERE place <= %(most)s), least(count(*), %(most)s), count(*) > %(most)s,
       (array_agg(request_id))[least(count(*), %(most)s)]
FROM (SELECT row_to_json(t)::text AS line, t.request_id, row_number() OVER () AS place
      FROM ({rows} LIMIT %(most)s + 1) t) numbered"""


def read_part(connection: Connection, job_id: UUID, *, end: int, after: RequestId | None, limit: int) -> Part:
    """At most `limit` rows after `after`, in batches below `end`, in submission order.

    Each row has RESULT_COLUMNS, `client_id` and `label` as JSON values, and of a multiclass model `probabilities`.
    PostgreSQL writes them: to make objects of a thousand rows first took three times as long. Raises JobUnknown.
    """
    shape = read_shape(connection, job_id)
    found = _Gathered(connection, limit)
    # A page has a row at least, but the first one may have been read up to its end.
    for page in _pages(connection, job_id, after=after, end=end, limit=limit + 2):
        for window in _windows(page, limit + 1 - found.count):
            if found.take(statement(shape, window, as_json=True), window.parameters(shape)):
                return found.part(has_more=True)
    return found.part(has_more=False)


def read_errors(
    connection: Connection, job_id: UUID, *, end: int, after: RequestId | None, limit: int, code: str | None = None
) -> Part:
    """The same of the rows with an error, or with this one. A part may be empty and still have more after it."""
    shape = read_shape(connection, job_id)
    found = _Gathered(connection, limit, last=after)
    pages = 0
    for page in _pages(connection, job_id, after=after, end=end, limit=_ERROR_PAGES, only_errors=True):
        pages += 1
        if found.take(error_statement(shape, page, as_json=True), {**page.parameters(shape), "code": code}):
            return found.part(has_more=True)
        found.last = RequestId(page.batch_id, page.last - 1)
    return found.part(has_more=pages + 1 >= _ERROR_PAGES)


@dataclass(slots=True)
class _Gathered:
    """Rows of a part as they are found."""

    connection: Connection
    limit: int
    last: RequestId | None = None
    count: int = 0
    lines: list[str] = field(default_factory=list)

    def take(self, rows: str, values: Mapping[str, Any]) -> bool:
        """Add what the statement `rows` gives, as far as there is room; whether it has more."""
        values = {**values, "most": self.limit - self.count}
        lines, count, has_more, newest = self.connection.exec_driver_sql(_AS_JSON.format(rows=rows), values).one()
        if count:
            self.lines.append(lines)
            self.count, self.last = self.count + count, parse_request_id(newest)
        return bool(has_more)

    def part(self, *, has_more: bool) -> Part:
        return Part(",".join(self.lines).encode(), self.count, self.last, has_more=has_more)


def _windows(page: Page, rows: int) -> Iterator[Page]:
    """The page in pieces, the first of about as many rows as are wanted: each row is looked for among all errors."""
    start, width = page.first, max(rows, _LEAST_WINDOW)
    while start < page.last:
        yield page._replace(first=start, last=min(page.last, start + width))
        start, width = start + width, 4 * width


_LEAST_WINDOW = 100
_ERROR_PAGES = 50  # that are gone through for a part of the rows with an error; the first may be read already


def copy_results(
    connection: Connection,
    job_id: UUID,
    *,
    end: int,
    target: IO[bytes],
    as_json: bool = False,
    only_errors: bool = False,
    code: str | None = None,
) -> None:
    """Write all rows in batches below `end` to `target`: CSV with a header, or one JSON object per line.

    With `only_errors` the rows that have one, with `code` those that have this one.
    """
    copies = begin_copy(connection, target, job_id=job_id, end=end, as_json=as_json, only_errors=only_errors, code=code)
    for copy in copies:
        copy(connection, target)


def begin_copy(
    connection: Connection,
    target: IO[bytes],
    *,
    job_id: UUID,
    end: int,
    as_json: bool = False,
    only_errors: bool = False,
    code: str | None = None,
) -> list[Callable[[Connection, IO[bytes]], None]]:
    """The same in parts, of which the first is written here. Returns the others, in order; each writes one page.

    With `only_errors` the rows that have one, with `code` those that have this one.

    PostgreSQL formats the rows and they pass as they are: no Python object per row, memory flat. Page by page,
    so that the first rows come at once and nothing large is sorted.
    """
    shape = read_shape(connection, job_id)
    if not as_json:
        target.write(_header(result_columns(shape)))
    pages = _pages(connection, job_id, after=None, end=end, limit=None, only_errors=only_errors)
    write = error_statement if only_errors else statement
    copies = [
        partial(
            _copy_page,
            rows=write(shape, page, as_json=as_json),
            values={**page.parameters(shape), "code": code},
            as_json=as_json,
        )
        for page in pages
    ]
    if copies:
        copies[0](connection, target)
    return [*copies[1:]]


def _copy_page(connection: Connection, target: IO[bytes], *, rows: str, values: dict[str, Any], as_json: bool) -> None:
    # JSON goes as CSV with a quote and a delimiter that JSON text never holds, so that COPY's escaping stays out.
    copy = (
        f"COPY (SELECT row_to_json(t) FROM ({rows}) t) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
        if as_json
        else f"COPY ({rows}) TO STDOUT (FORMAT csv)"
    )
    with driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(copy, values).decode(), target)


def _header(columns: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(columns)
    return line.getvalue().encode()
