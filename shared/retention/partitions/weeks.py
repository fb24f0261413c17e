"""What a week of jobs holds: one pass over its partition tells which ranges its pages are in, and what to count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from shared.retention.cutoffs import DUE_VERSIONS, Cutoff, cutoff_arrays
from shared.retention.due import PAGE_WEIGHT
from shared.retention.partitions.ranges import BatchRange, JobWeek


@dataclass(frozen=True, slots=True)
class DailyCount:
    """Jobs of one day, owner, model version and kind, as `daily_counts` keeps them."""

    day: date
    owner: str
    version_id: int
    kind: str
    jobs: int
    accepted: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class WeekCount:
    """What is in a week. `weights`: what its jobs cost to delete, by the position of the range of their pages."""

    week: JobWeek
    counts: tuple[DailyCount, ...]
    weights: dict[int, int]
    staying: int  # bulk jobs that are open, not due, or held


def read_week(
    connection: Connection, week: JobWeek, ranges: Sequence[BatchRange], cutoffs: Mapping[int, Cutoff]
) -> WeekCount:
    """Count a week. Positions in `weights` are those of `ranges`; -1 stands for pages before all of them."""
    values = {"firsts": [batches.first_id for batches in ranges]}
    weights: dict[int, int] = {}
    counts: dict[tuple[Any, ...], list[int]] = {}
    has_bulk = False
    for row in connection.execute(text(_COUNT.format(table=week.table)), values).all():
        has_bulk |= row.kind == "bulk"
        if row.kind == "single":
            weights[row.bucket - 1] = weights.get(row.bucket - 1, 0) + row.jobs
        _add(counts, row)
    staying = 0
    if has_bulk:
        staying = connection.execute(text(_STAYING.format(table=week.table)), cutoff_arrays(cutoffs)).scalar_one()
        for bucket, pages in connection.execute(text(_BULK_PAGES.format(table=week.table)), values):
            weights[bucket - 1] = weights.get(bucket - 1, 0) + pages * PAGE_WEIGHT
    daily = tuple(DailyCount(*key, *figures) for key, figures in counts.items())
    return WeekCount(week, daily, weights, staying)


def _add(counts: dict[tuple[Any, ...], list[int]], row: Any) -> None:
    day, owner, version, kind, *figures = tuple(row)[:9]
    held = counts.setdefault((day, owner, version, kind), [0] * 5)
    counts[day, owner, version, kind] = [a + int(b) for a, b in zip(held, figures, strict=True)]


DAY = "(j.created_at AT TIME ZONE 'UTC')::date"

# One pass. A single job that has no end of its own has succeeded: it is asked of those alone whose page is there.
_COUNT = f"""
SELECT {DAY} AS day, j.owner, j.model_version_id, j.kind, count(*) AS jobs,
       coalesce(sum(j.request_count), 0) AS accepted,
       coalesce(sum(j.succeeded), count(*) FILTER (WHERE j.status IS NULL)) AS succeeded,
       coalesce(sum(j.failed), count(*) FILTER (WHERE j.status = 'failed')) AS failed,
       coalesce(sum(j.cancelled), count(*) FILTER (WHERE j.status = 'cancelled')) AS cancelled,
       width_bucket(j.batch_id, CAST(:firsts AS bigint[])) AS bucket
FROM {{table}} j GROUP BY 1, 2, 3, 4, 10
"""
_STAYING = f"""
SELECT count(*) FROM {{table}} j LEFT JOIN {DUE_VERSIONS} ON c.version_id = j.model_version_id
WHERE j.kind = 'bulk' AND ((j.status IS NOT NULL AND j.finished_at < c.before) IS NOT TRUE
    OR EXISTS (SELECT FROM predictq.holds h WHERE h.job_id = j.id AND h.released_at IS NULL))
"""
_BULK_PAGES = """
SELECT width_bucket(o.batch_id, CAST(:firsts AS bigint[])) AS bucket, count(*) AS pages
FROM {table} j JOIN predictq.batch_outputs o ON o.job_id = j.id AND o.batch_id >= j.first_batch_id
WHERE j.kind = 'bulk' GROUP BY 1
"""
