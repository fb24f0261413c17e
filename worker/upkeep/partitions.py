"""Partitions are made weeks ahead, and the open one of the batches is closed when it is large or old."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from shared.retention.partitions.ranges import PAGE_TABLES
from shared.retention.statements import insist_on
from worker.upkeep.duty import Clock

JOB_WEEKS = 8
LEAST_RANGES = 8
_RATE_WEEKS = 3  # so many weeks at the observed rate are made ahead
_WEEK_SHARE = 4  # a range that is a quarter full is closed when a week begins, so that few jobs lie across the border


@dataclass(frozen=True, slots=True)
class PartitionsAhead:
    """Makes partitions before they are needed: acceptance goes on for weeks while nobody does this."""

    name: str = "partitions ahead"
    every_seconds: float = 600

    def run(self, engine: Engine, clock: Clock) -> str:  # noqa: ARG002 - the functions ask the database's clock
        """Make what is missing."""

        def make(connection: Connection) -> tuple[int, int]:
            connection.execute(text("SELECT predictq.note_full_partitions()"))
            weeks = connection.execute(_MAKE_WEEKS).scalar_one()
            ranges = connection.execute(_MAKE_RANGES, {"ahead": _ranges_ahead(connection)}).scalar_one()
            return weeks, ranges

        weeks, ranges = insist_on(engine, make)
        return f"{weeks} weeks of jobs and {ranges} ranges of batches made" if weeks or ranges else ""


def _ranges_ahead(connection: Connection) -> int:
    used = connection.execute(_USED_LATELY).scalar_one()
    return max(LEAST_RANGES, _RATE_WEEKS * int(used) + 1)


_MAKE_WEEKS = text(f"SELECT predictq.make_job_partitions(interval '{JOB_WEEKS} weeks')")
_MAKE_RANGES = text("SELECT predictq.make_batch_partitions(:ahead)")
_USED_LATELY = text("""
SELECT count(*) FROM predictq.partitions
WHERE parent = 'batch_outputs' AND closed_at > clock_timestamp() - interval '1 week'
""")


@dataclass(frozen=True, slots=True)
class PartitionClosing:
    """Closes the open range of batches when it is larger than `most_bytes`, or a month old.

    Ranges end at the beginning of a week where they can, as the partitions of jobs do: then both can go whole.
    """

    most_bytes: int
    name: str = "closing of partitions"
    every_seconds: float = 60

    def run(self, engine: Engine, clock: Clock) -> str:
        """Close the open range if it is time."""

        def close(connection: Connection) -> str:
            why = self._why(connection, clock)
            if not why:
                return ""
            first = connection.execute(text("SELECT predictq.close_batch_partition()")).scalar_one()
            return f"batches go on at {first}: {why}" if first else "no partition to go on in"

        return insist_on(engine, close)

    def _why(self, connection: Connection, clock: Clock) -> str:
        first_id = connection.execute(_OPEN_RANGE).scalar_one_or_none()
        if first_id is None:
            return ""
        tables = [f"predictq.{parent}_{first_id}" for parent in PAGE_TABLES]
        values = {"tables": tables, "now": clock()}
        size, is_old, began_before = connection.execute(text(_FACTS.format(outputs=tables[0])), values).one()
        if size > self.most_bytes:
            return f"the partition has {size / 2**20:.0f} MB"
        if is_old:
            return "the partition is a month old"
        if began_before and size > self.most_bytes // _WEEK_SHARE:
            return "a week began"
        return ""


_OPEN_RANGE = text("""
SELECT first_batch_id FROM predictq.partitions p CROSS JOIN predictq.batch_ids s
WHERE p.parent = 'batch_outputs' AND p.closed_at IS NULL AND p.leaving_at IS NULL
  AND s.last_value >= p.first_batch_id AND s.last_value < p.end_batch_id
""")
# A range is a month old when four weeks have begun since its first page.
_FACTS = """
SELECT (SELECT coalesce(sum(pg_total_relation_size(to_regclass(t))), 0)
        FROM unnest(CAST(:tables AS text[])) t) AS bytes,
       coalesce(w.first_week <= w.this_week - interval '4 weeks', false) AS is_old,
       coalesce(w.first_week < w.this_week, false) AS began_before
FROM (SELECT date_trunc('week', min(created_at), 'UTC') AS first_week,
             date_trunc('week', CAST(:now AS timestamptz), 'UTC') AS this_week FROM {outputs}) w
"""
