"""The errors of a bulk job by code, out of its first pages that have any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

ERROR_PAGES = 100  # in which errors are looked for
SAMPLES = 3


@dataclass(frozen=True, slots=True)
class ErrorSample:
    """One row with an error."""

    request_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The rows with one code."""

    code: str
    count: int
    samples: Sequence[ErrorSample]


def read_errors(connection: Connection, job_id: UUID, first_batch_id: int) -> tuple[list[ErrorGroup], bool]:
    """The errors of the job by code, the most frequent first, and whether these are all of them."""
    values = {"id": str(job_id), "first": first_batch_id, "errors": ERROR_PAGES}
    rows = connection.execute(_ERRORS, values).all()
    return [_error_group(row) for row in rows], all(row.is_whole for row in rows)


def _error_group(row: Any) -> ErrorGroup:
    samples = [ErrorSample(f"{batch}-{number}", detail or "") for batch, number, detail in row.samples[:SAMPLES]]
    return ErrorGroup(row.code, row.errors, samples)


# Of each page its first code is taken out of the array and what went is counted, until nothing is left: there are few
# codes, and up to a million rows, which would take a second as rows of a query.
_ERRORS = text(f"""
WITH failing AS (
    SELECT batch_id, count(*) OVER () AS pages FROM predictq.batch_outputs
    WHERE job_id = :id AND batch_id >= :first AND failed > 0 ORDER BY batch_id LIMIT :errors
), by_page AS (
    SELECT f.batch_id, f.pages, counted.code, counted.errors
    FROM failing f JOIN predictq.batch_outputs o ON o.batch_id = f.batch_id
    CROSS JOIN LATERAL (
        WITH RECURSIVE taken (code, errors, rest) AS (
            SELECT NULL, 0, o.error_codes
            UNION ALL
            SELECT t.rest[1], cardinality(t.rest) - cardinality(others.codes), others.codes
            FROM taken t CROSS JOIN LATERAL (SELECT array_remove(t.rest, t.rest[1]) AS codes OFFSET 0) others
            WHERE cardinality(t.rest) > 0
        ) SELECT code, errors FROM taken WHERE errors > 0
    ) counted
)
SELECT p.code, CAST(sum(p.errors) AS bigint) AS errors, bool_and(p.pages <= :errors) AS is_whole,
       (SELECT json_agg(json_build_array(s.batch_id, s.row, s.detail)) FROM (
            SELECT q.batch_id, o.error_rows[place] AS row, o.error_details[place] AS detail
            FROM (SELECT b.batch_id FROM by_page b WHERE b.code = p.code ORDER BY b.batch_id LIMIT {SAMPLES}) q
            JOIN predictq.batch_outputs o ON o.batch_id = q.batch_id
            CROSS JOIN LATERAL unnest((array_positions(o.error_codes, p.code))[1:{SAMPLES}]) AS place
            ORDER BY q.batch_id, place LIMIT {SAMPLES}) s) AS samples
FROM by_page p GROUP BY p.code ORDER BY errors DESC, p.code
""")
