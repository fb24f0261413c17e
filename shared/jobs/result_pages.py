"""The pages that the rows of a job lie in, as they are listed once, and whether they still are as they were listed.

Answers never change, but rows go: retention takes pages, or rows out of them, and an erasure takes a client's. Each is
one transaction and is never taken back, so a page that stands after it was read was read as it was listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from shared.errors import ResultsGone
from shared.jobs.result_sql import Page
from shared.pages.request_id import RequestId

_PAGES = text("""
SELECT p.batch_id, p.first, p.last, p.is_clean,
       CASE WHEN r.keys_int8 IS NOT NULL THEN 'int8' WHEN r.keys_uuid IS NOT NULL THEN 'uuid'
            WHEN r.keys_text IS NOT NULL THEN 'text' END AS storage, r.spelled IS NOT NULL AS has_spellings, p.rows
FROM (
    SELECT o.batch_id, 0 AS first, o.request_count AS last,
           o.succeeded = o.request_count AND o.erased_rows IS NULL AS is_clean, o.succeeded + o.failed AS rows
    FROM predictq.jobs j
    JOIN predictq.batch_outputs o ON o.job_id = j.id AND o.batch_id >= j.first_batch_id
    WHERE j.id = :job_id AND j.kind = 'bulk' AND o.succeeded + o.failed > 0  -- else cancelled, what is left of it
        AND (NOT CAST(:only_errors AS boolean) OR o.failed > 0 OR o.erased_rows IS NOT NULL)
        AND o.batch_id >= :after_batch AND o.batch_id < :end
    UNION ALL
    SELECT j.batch_id, j.row_number, j.row_number + 1, false, 1
    FROM predictq.jobs j
    WHERE j.id = :job_id AND j.kind = 'single' AND j.status IS DISTINCT FROM 'cancelled' AND j.batch_id < :end
    ORDER BY batch_id LIMIT :limit
) p JOIN predictq.batch_requests r
    ON r.batch_id = p.batch_id AND r.batch_id >= :after_batch AND r.batch_id < :end  -- numbers that the planner knows
ORDER BY p.batch_id
""")


def list_pages(
    connection: Connection,
    job_id: UUID,
    *,
    after: RequestId | None,
    end: int,
    limit: int | None,
    only_errors: bool = False,
) -> list[Page]:
    """The pages that have rows after `after` and in a batch below `end`, in order, from the first such row on.

    A job goes with its pages or before them: where it is there after this, no page of it was missing.
    """
    after_batch = _first_batch(connection, job_id) if after is None else after.batch_id
    values = {
        "job_id": str(job_id),
        "after_batch": after_batch,
        "end": end,
        "limit": limit,
        "only_errors": only_errors,
    }
    pages = [Page._make(row) for row in connection.execute(_PAGES, values)]
    if after is not None:
        pages = [_after(page, after) for page in pages]
    return [page for page in pages if page.first < page.last]


def _after(page: Page, after: RequestId) -> Page:
    return page._replace(first=max(page.first, after.row + 1)) if page.batch_id <= after.batch_id else page


def _first_batch(connection: Connection, job_id: UUID) -> int:
    """Asked apart: by a number that it knows the planner leaves older partitions out."""
    query = text("SELECT coalesce(first_batch_id, batch_id) FROM predictq.jobs WHERE id = :id")
    return connection.execute(query, {"id": str(job_id)}).scalar() or 0


# A page of single jobs is one of many: only its own row counts there. What an erasure took is read as such, but where
# the page was read as one without errors.
_COUNT_STANDING = text("""
SELECT count(*)
FROM unnest(CAST(:ids AS bigint[]), CAST(:first AS integer[]), CAST(:rows AS integer[]), CAST(:clean AS boolean[]))
    AS p (batch_id, first, rows, is_clean)
JOIN predictq.batch_outputs o ON o.batch_id = p.batch_id AND o.batch_id BETWEEN :least AND :most
JOIN predictq.batch_requests r ON r.batch_id = p.batch_id AND r.batch_id BETWEEN :least AND :most
WHERE CASE WHEN o.job_id IS NULL THEN o.gone_rows IS NULL OR p.first <> ALL (o.gone_rows)
           ELSE o.succeeded + o.failed = p.rows END
  AND (NOT p.is_clean OR o.erased_rows IS NULL)
""")


def require_standing(connection: Connection, job_id: UUID, pages: Sequence[Page]) -> None:
    """Look whether pages that were just read are as they were listed. Raises ResultsGone."""
    if not pages:
        return
    values = {
        "ids": [page.batch_id for page in pages],
        "first": [page.first for page in pages],
        "rows": [page.rows for page in pages],
        "clean": [page.is_clean for page in pages],
        "least": pages[0].batch_id,
        "most": pages[-1].batch_id,
    }
    if connection.execute(_COUNT_STANDING, values).scalar_one() != len(pages):
        raise ResultsGone(job_id)


# The lock waits for a retention that is about to take rows, and has not seen who reads them.
_ROWS = text("""
SELECT CASE WHEN kind = 'bulk' AND status IS NOT NULL THEN succeeded + failed END AS rows
FROM predictq.jobs WHERE id = :id FOR SHARE
""")


def require_all_rows(connection: Connection, job_id: UUID, rows: int) -> None:
    """Look whether so many rows still are all of a job, until the transaction ends. Raises ResultsGone."""
    job = connection.execute(_ROWS, {"id": str(job_id)}).one_or_none()
    if job is None or job.rows not in (None, rows):
        raise ResultsGone(job_id)
