"""Deleting pages one by one, each with its jobs in one transaction: where a partition cannot go whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Engine, text

from shared.postgres.engine import transaction
from shared.retention.cutoffs import DUE_VERSIONS, Cutoff, cutoff_arrays
from shared.retention.daily_counts import DeletedJobs, delete_jobs
from shared.retention.due import DUE_PAGE, ROWS, DueRange, staying_values
from shared.retention.partitions.ranges import BatchRange, JobWeek
from shared.retention.rules.errors import DoesNotAddUp
from shared.retention.standing_rules import StandingRules, refuse_changed_rules
from shared.retention.statements import upkeep_transaction

T = TypeVar("T")
ROWS_PER_STEP = 20_000  # single jobs deleted in one transaction: about 0.2 s
_PAGES_PER_STEP = 100  # of bulk jobs, but for a job that has more

BeforeGoing = Callable[[BatchRange, Sequence[int]], None]  # is told of the pages of a range that are about to go


@dataclass(slots=True)
class Deleted:
    """How much went page by page."""

    pages: int = 0
    jobs: int = 0
    rows: int = 0
    tables: set[str] = field(default_factory=set)  # partitions that are not as they were

    def add(self, pages: int, rows: int, jobs: DeletedJobs, tables: set[str]) -> None:
        """One step more, before its commit. Raises DoesNotAddUp where jobs and pages have not the same rows."""
        if jobs.rows != rows:
            raise DoesNotAddUp(jobs.rows, rows)
        self.pages += pages
        self.jobs += jobs.jobs
        self.rows += rows
        self.tables |= tables | jobs.tables


@dataclass(frozen=True, slots=True)
class Page:
    """A page that goes, and what it costs."""

    batch_id: int
    job_id: str | None
    rows: int


def due_pages(connection: Connection, due: DueRange, cutoffs: Mapping[int, Cutoff]) -> list[Page]:
    """All pages of a range that are due."""
    values = {**cutoff_arrays(cutoffs), **staying_values(due.staying_jobs, due.staying_pages)}
    found = connection.execute(text(_DUE_PAGES.format(outputs=due.batches.table("batch_outputs"))), values)
    return [Page(*row) for row in found]


def border_pages(connection: Connection, batches: BatchRange, weeks: Sequence[JobWeek]) -> list[Page]:
    """The pages of a range with a job that is not of these weeks."""
    values: dict[str, object] = {}
    inside = ["false"]
    for number, week in enumerate(weeks):
        values |= {f"from_{number}": week.begin, f"to_{number}": week.end}
        inside.append(f"id >= predictq.first_uuid_of(:from_{number}) AND id < predictq.first_uuid_of(:to_{number})")
    statement = _BORDER.format(requests=batches.table("batch_requests"), inside=" OR ".join(inside))
    return [Page(*row) for row in connection.execute(text(statement), values)]


def delete_pages(
    engine: Engine,
    batches: BatchRange,
    pages: Sequence[Page],
    *,
    rules: StandingRules,
    before_going: BeforeGoing | None,
) -> Deleted:
    """Delete pages of a range with their jobs; of a bulk job all its pages, in other ranges too.

    Stops at any time without harm: each step is a transaction of its own.
    Raises DoesNotAddUp, HoldsChanged, PeriodsChanged.
    """
    deleted = Deleted()
    singles = [page for page in pages if page.job_id is None]
    counts = Counter(page.job_id for page in pages if page.job_id is not None)
    if before_going is not None:
        before_going(batches, [page.batch_id for page in singles] + _pages_of(engine, list(counts)))
    for step in _steps(singles, [page.rows for page in singles], ROWS_PER_STEP):
        _delete_singles(engine, batches, step, rules, deleted)
    for job_ids in _steps(list(counts), list(counts.values()), _PAGES_PER_STEP):
        _delete_bulk(engine, job_ids, rules, deleted)
    if deleted.pages:
        _delete_hashes(engine, batches)
    return deleted


def _delete_singles(
    engine: Engine, batches: BatchRange, pages: Sequence[Page], rules: StandingRules, deleted: Deleted
) -> None:
    with upkeep_transaction(engine) as connection:
        refuse_changed_rules(connection, rules)
        values = {"ids": [page.batch_id for page in pages]}
        requests = batches.table("batch_requests")
        job_ids = connection.execute(text(_DELETE_REQUESTS.format(requests=requests)), values).scalars().all()
        gone = connection.execute(text(_DELETE_OUTPUTS.format(outputs=batches.table("batch_outputs"))), values).one()
        jobs = delete_jobs(connection, [str(job_id) for job_id in job_ids if job_id is not None])
        deleted.add(gone.pages, gone.rows, jobs, {batches.table("batch_outputs")})


def _pages_of(engine: Engine, job_ids: Sequence[str]) -> list[int]:
    with transaction(engine) as connection:
        return list(connection.execute(_PAGES_OF_JOBS, {"ids": list(job_ids)}).scalars())


def _delete_bulk(engine: Engine, job_ids: Sequence[str], rules: StandingRules, deleted: Deleted) -> None:
    values = {"ids": list(job_ids)}
    with upkeep_transaction(engine) as connection:
        refuse_changed_rules(connection, rules)
        connection.execute(_DELETE_BULK_REQUESTS, values)
        pages, rows, tables = connection.execute(_DELETE_BULK_OUTPUTS, values).one()
        deleted.add(pages, rows, delete_jobs(connection, job_ids), set(tables or ()))


def delete_empty_jobs(engine: Engine, week: JobWeek, rules: StandingRules) -> int:
    """Delete bulk jobs of a week that are due and selected nobody, so that no page leads to them. Returns how many."""
    with upkeep_transaction(engine) as connection:
        refuse_changed_rules(connection, rules)
        found = (
            connection.execute(text(_EMPTY_JOBS.format(table=week.table)), cutoff_arrays(rules.cutoffs)).scalars().all()
        )
        return delete_jobs(connection, found).jobs if found else 0


def _delete_hashes(engine: Engine, batches: BatchRange) -> None:
    """Hashes of pages that are gone lead nowhere and do no harm, so they may go last."""
    with upkeep_transaction(engine) as connection:
        statement = _DELETE_HASHES.format(hashes=batches.table("key_hashes"), outputs=batches.table("batch_outputs"))
        connection.execute(text(statement))


def _steps(items: Sequence[T], weights: Sequence[int], most: int) -> list[list[T]]:
    steps: list[list[T]] = []
    weight = 0
    for item, own in zip(items, weights, strict=True):
        if not steps or weight + own > most:
            steps.append([])
            weight = 0
        steps[-1].append(item)
        weight += own
    return steps


_DUE_PAGES = f"""
SELECT o.batch_id, o.job_id::text, {ROWS.format("o")}
FROM {{outputs}} o JOIN {DUE_VERSIONS} ON c.version_id = o.model_version_id WHERE {DUE_PAGE} ORDER BY o.batch_id
"""
_BORDER = """
SELECT r.batch_id, r.job_id::text, r.request_count FROM {requests} r
WHERE EXISTS (SELECT FROM unnest(coalesce(r.job_ids, ARRAY[r.job_id])) AS of_page (id)
              WHERE id IS NOT NULL AND NOT ({inside}))
ORDER BY r.batch_id
"""
_DELETE_REQUESTS = """
WITH gone AS (DELETE FROM {requests} WHERE batch_id = ANY (CAST(:ids AS bigint[])) RETURNING job_ids)
SELECT unnest(job_ids) FROM gone
"""
_DELETE_OUTPUTS = f"""
WITH gone AS (
    DELETE FROM {{outputs}} o WHERE o.batch_id = ANY (CAST(:ids AS bigint[])) RETURNING {ROWS.format("o")} AS rows)
SELECT count(*) AS pages, coalesce(sum(rows), 0)::bigint AS rows FROM gone
"""
_EMPTY_JOBS = f"""
SELECT j.id::text FROM {{table}} j JOIN {DUE_VERSIONS} ON c.version_id = j.model_version_id
WHERE j.kind = 'bulk' AND j.status IS NOT NULL AND j.request_count = 0 AND j.finished_at < c.before
  AND NOT EXISTS (SELECT FROM predictq.holds h WHERE h.job_id = j.id AND h.released_at IS NULL)
"""
_PAGES_OF_JOBS = text("""
SELECT o.batch_id FROM predictq.batch_outputs o WHERE o.job_id = ANY (CAST(:ids AS uuid[])) ORDER BY o.batch_id
""")
_DELETE_BULK_REQUESTS = text("DELETE FROM predictq.batch_requests WHERE job_id = ANY (CAST(:ids AS uuid[]))")
_DELETE_BULK_OUTPUTS = text(f"""
WITH gone AS (
    DELETE FROM predictq.batch_outputs o WHERE o.job_id = ANY (CAST(:ids AS uuid[]))
    RETURNING {ROWS.format("o")} AS rows, o.tableoid::regclass::text AS range)
SELECT count(*) AS pages, coalesce(sum(rows), 0)::bigint AS rows, array_agg(DISTINCT range) AS tables FROM gone
""")
_DELETE_HASHES = """
DELETE FROM {hashes} k WHERE NOT EXISTS (SELECT FROM {outputs} o WHERE o.batch_id = k.batch_id)
"""
