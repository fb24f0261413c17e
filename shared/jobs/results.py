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

from shared.errors import JobUnknown, ResultsGone
from shared.jobs.result_columns import result_columns
from shared.jobs.result_pages import list_pages, require_standing
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
    PostgreSQL writes them: to make objects of a thousand rows first took three times as long.
    Raises JobUnknown; ResultsGone where rows go again and again.
    """
    # A page has a row at least, but the first one may have been read up to its end.
    listed = partial(list_pages, job_id=job_id, after=after, end=end, limit=limit + 2)
    return _read_standing(connection, job_id, listed, partial(_read_rows, limit=limit))


def _read_rows(connection: Connection, shape: JobShape, pages: Sequence[Page], limit: int) -> tuple[Part, int]:
    found = _Gathered(connection, limit)
    for number, page in enumerate(pages, 1):
        for window in _windows(page, limit + 1 - found.count):
            if found.take(statement(shape, window, as_json=True), window.parameters(shape)):
                return found.part(has_more=True), number
    return found.part(has_more=False), len(pages)


def read_errors(
    connection: Connection, job_id: UUID, *, end: int, after: RequestId | None, limit: int, code: str | None = None
) -> Part:
    """The same of the rows with an error, or with this one. A part may be empty and still have more after it."""
    listed = partial(list_pages, job_id=job_id, after=after, end=end, limit=_ERROR_PAGES, only_errors=True)
    return _read_standing(connection, job_id, listed, partial(_read_errors, after=after, limit=limit, code=code))


def _read_errors(
    connection: Connection,
    shape: JobShape,
    pages: Sequence[Page],
    after: RequestId | None,
    limit: int,
    code: str | None,
) -> tuple[Part, int]:
    found = _Gathered(connection, limit, last=after)
    for number, page in enumerate(pages, 1):
        if found.take(error_statement(shape, page, as_json=True), {**page.parameters(shape), "code": code}):
            return found.part(has_more=True), number
        found.last = RequestId(page.batch_id, page.last - 1)
    return found.part(has_more=len(pages) + 1 >= _ERROR_PAGES), len(pages)


def _read_standing(
    connection: Connection,
    job_id: UUID,
    listed: Callable[[Connection], list[Page]],
    read: Callable[[Connection, JobShape, Sequence[Page]], tuple[Part, int]],
) -> Part:
    """What `read` makes of so many of the pages that `listed` gives; anew where rows of these went meanwhile."""
    for tries_left in reversed(range(_TRIES)):
        pages = listed(connection)
        part, used = read(connection, read_shape(connection, job_id), pages)
        try:
            require_standing(connection, job_id, pages[:used])
        except ResultsGone:
            if not tries_left:
                raise
        else:
            break
    return part


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
_TRIES = 3  # of a part while rows of its pages go
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
    """The same in parts, of which the first is written here. Returns the others, in order; each writes a page or none.

    With `only_errors` the rows that have one, with `code` those that have this one.

    PostgreSQL formats the rows and they pass as they are: no Python object per row, memory flat. Page by page,
    so that the first rows come at once and nothing large is sorted. Raises JobUnknown, and ResultsGone, as the others
    do, where rows went since the pages were listed: what was written is no whole then.
    """
    pages = list_pages(connection, job_id, after=None, end=end, limit=None, only_errors=only_errors)
    shape = read_shape(connection, job_id)  # after the pages: it raises where these went with their job
    if not as_json:
        target.write(_header(result_columns(shape)))
    copies: list[Callable[[Connection, IO[bytes]], None]]
    if only_errors:
        copies = [partial(_copy_errors, shape=shape, page=page, as_json=as_json, code=code) for page in pages]
        copies.append(partial(_copy_nothing, job_id=job_id, pages=pages))
    else:
        copies = [partial(_copy_rows, job_id=job_id, shape=shape, page=page, as_json=as_json) for page in pages]
    if copies:
        copies[0](connection, target)
    return [*copies[1:]]


def _copy_rows(
    connection: Connection, target: IO[bytes], *, job_id: UUID, shape: JobShape, page: Page, as_json: bool
) -> None:
    count = _copy(connection, target, statement(shape, page, as_json=as_json), page.parameters(shape), as_json=as_json)
    if page.is_clean and not count:  # a client was erased since: her row says so
        page = page._replace(is_clean=False)
        rows = statement(shape, page, as_json=as_json)
        count = _copy(connection, target, rows, page.parameters(shape), as_json=as_json)
    if count != page.rows:
        raise ResultsGone(job_id)


def _copy_errors(
    connection: Connection, target: IO[bytes], *, shape: JobShape, page: Page, as_json: bool, code: str | None
) -> None:
    values = {**page.parameters(shape), "code": code}
    _copy(connection, target, error_statement(shape, page, as_json=as_json), values, as_json=as_json)


def _copy_nothing(connection: Connection, _: IO[bytes], *, job_id: UUID, pages: Sequence[Page]) -> None:
    """Look at all pages at the end: of a few rows of each, asking page by page would take longer than reading them."""
    require_standing(connection, job_id, pages)


def _copy(connection: Connection, target: IO[bytes], rows: str, values: dict[str, Any], *, as_json: bool) -> int:
    """Write what the statement `rows` gives; returns how many."""
    # JSON goes as CSV with a quote and a delimiter that JSON text never holds, so that COPY's escaping stays out.
    copy = (
        f"COPY (SELECT row_to_json(t) FROM ({rows}) t) TO STDOUT (FORMAT csv, QUOTE e'\\x01', DELIMITER e'\\x02')"
        if as_json
        else f"COPY ({rows}) TO STDOUT (FORMAT csv)"
    )
    with driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(cursor.mogrify(copy, values).decode(), target)
        return cursor.rowcount


def _header(columns: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(columns)
    return line.getvalue().encode()
