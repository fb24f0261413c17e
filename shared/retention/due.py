"""What is due in one range of batches: read once, page by page, without opening a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, text

from shared.retention.cutoffs import DUE_VERSIONS, Cutoff, cutoff_arrays
from shared.retention.held import Kept
from shared.retention.partitions.ranges import PAGE_TABLES, BatchRange

PAGE_WEIGHT = 20  # what deleting a page of a bulk job costs, in deletions of a single job


@dataclass(frozen=True, slots=True)
class VersionCount:
    """Pages of one model version and kind in a range."""

    version_id: int
    kind: str  # "single" or "bulk"
    pages: int
    rows: int
    succeeded: int
    failed: int
    cancelled: int

    @property
    def weight(self) -> int:
        """What it costs to delete these pages with their jobs, in deletions of a single job."""
        return self.rows if self.kind == "single" else self.pages * PAGE_WEIGHT


@dataclass(frozen=True, slots=True)
class DueRange:
    """What of a range is due. `whole`: all of it is, and nothing can be added."""

    batches: BatchRange
    bytes: int
    stored: tuple[VersionCount, ...]
    due: tuple[VersionCount, ...]
    due_jobs: Mapping[UUID, int] = field(repr=False)  # bulk jobs that are due, with their version
    staying_jobs: frozenset[UUID] = field(repr=False)  # bulk jobs with pages here that are not due, or are held
    staying_pages: frozenset[int] = field(repr=False)  # pages of single jobs that are held
    whole_at_last: bool  # nothing here is kept for ever or held: age alone makes it whole

    @property
    def whole(self) -> bool:
        """Whether the partition can go as it is."""
        return self.batches.is_closed and self.stored == self.due

    @property
    def due_weight(self) -> int:
        """What deleting what is due costs, in deletions of a single job."""
        return sum(count.weight for count in self.due)


def is_untouched(connection: Connection, batches: BatchRange, cutoffs: Mapping[int, Cutoff]) -> bool:
    """Whether nothing in a range can be due, by its oldest answer alone. An empty range that is closed can go."""
    oldest = connection.execute(text(f"SELECT min(created_at) FROM {batches.table('batch_outputs')}")).scalar_one()
    if oldest is None:
        return not batches.is_closed
    return all(oldest >= cutoff.before for cutoff in cutoffs.values())


def read_due(connection: Connection, batches: BatchRange, cutoffs: Mapping[int, Cutoff], kept: Kept) -> DueRange:
    """What is due in one range by the cutoffs, but for what holds keep. A bulk job is due as a whole, by its end."""
    outputs = batches.table("batch_outputs")
    pages = frozenset(page for page in kept.pages if batches.first_id <= page < batches.end_id)
    arrays = cutoff_arrays(cutoffs)
    bulk = connection.execute(text(f"SELECT DISTINCT job_id FROM {outputs} WHERE job_id IS NOT NULL")).scalars().all()
    found = connection.execute(_DUE_JOBS, {**arrays, "ids": [str(job) for job in bulk]}).all()
    due_jobs = {job_id: version for job_id, version in found if job_id not in kept.jobs}
    staying = frozenset(bulk) - due_jobs.keys()
    rows = connection.execute(text(_COUNTS.format(outputs=outputs)), {**arrays, **staying_values(staying, pages)}).all()
    stored = tuple(VersionCount(row.version_id, row.kind, *map(int, row[2:7])) for row in rows)
    due = tuple(VersionCount(row.version_id, row.kind, *map(int, row[7:12])) for row in rows if row[7])
    size = connection.execute(_SIZE, {"tables": [batches.table(parent) for parent in PAGE_TABLES]}).scalar_one()
    at_last = not pages and not staying & kept.jobs and all(count.version_id in cutoffs for count in stored)
    return DueRange(batches, int(size), stored, due, due_jobs, staying, pages, at_last)


def staying_values(jobs: frozenset[UUID], pages: frozenset[int]) -> dict[str, object]:
    """The parameters `staying_jobs` and `staying_pages` of DUE_PAGE."""
    return {"staying_jobs": [str(job) for job in jobs], "staying_pages": list(pages)}


# The rows of a page that are still there.
ROWS = "({0}.request_count - coalesce(cardinality({0}.gone_rows), 0))"
# Whether the page o is due; c is DUE_VERSIONS joined by its version.
DUE_PAGE = """(c.before IS NOT NULL AND CASE WHEN o.job_id IS NULL
    THEN o.created_at < c.before AND o.batch_id <> ALL (CAST(:staying_pages AS bigint[]))
    ELSE o.job_id <> ALL (CAST(:staying_jobs AS uuid[])) END)"""

_SIZE = text("SELECT coalesce(sum(pg_total_relation_size(to_regclass(t))), 0) FROM unnest(CAST(:tables AS text[])) t")
_DUE_JOBS = text(f"""
SELECT j.id, j.model_version_id FROM predictq.jobs j JOIN {DUE_VERSIONS} ON c.version_id = j.model_version_id
WHERE j.id = ANY (CAST(:ids AS uuid[])) AND j.status IS NOT NULL AND j.finished_at < c.before
""")
_COUNTS = f"""
SELECT p.version_id, p.kind, count(*), sum(p.request_count), sum(p.succeeded), sum(p.failed), sum(p.cancelled),
       count(*) FILTER (WHERE p.due), coalesce(sum(p.request_count) FILTER (WHERE p.due), 0),
       coalesce(sum(p.succeeded) FILTER (WHERE p.due), 0), coalesce(sum(p.failed) FILTER (WHERE p.due), 0),
       coalesce(sum(p.cancelled) FILTER (WHERE p.due), 0)
FROM (
    SELECT o.model_version_id AS version_id, CASE WHEN o.job_id IS NULL THEN 'single' ELSE 'bulk' END AS kind,
           {ROWS.format("o")} AS request_count, o.succeeded, o.failed, o.cancelled, {DUE_PAGE} AS due
    FROM {{outputs}} o LEFT JOIN {DUE_VERSIONS} ON c.version_id = o.model_version_id
) p GROUP BY p.version_id, p.kind ORDER BY p.version_id, p.kind
"""
