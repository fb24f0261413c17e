"""The partitions that hold pages and jobs, as the registry has them, with what they are called in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, text

PAGE_TABLES = ("batch_outputs", "batch_requests", "key_hashes")  # the order in which their partitions go


@dataclass(frozen=True, slots=True)
class BatchRange:
    """Batches first_id … end_id-1: a partition of each of PAGE_TABLES."""

    first_id: int
    end_id: int
    is_closed: bool  # no batch id is drawn from it any more, and whoever drew one has committed or given up

    def name(self, parent: str) -> str:
        """The name of its partition of one of PAGE_TABLES."""
        return f"{parent}_{self.first_id}"

    def table(self, parent: str) -> str:
        """The same, qualified."""
        return f"predictq.{self.name(parent)}"


@dataclass(frozen=True, slots=True)
class JobWeek:
    """The jobs whose UUIDv7 was made in a week that began on this Monday, in UTC."""

    name: str
    first_day: date

    @property
    def table(self) -> str:
        """The qualified name of its partition."""
        return f"predictq.{self.name}"

    @property
    def begin(self) -> datetime:
        """The first moment of a job in it."""
        return datetime.combine(self.first_day, time(), UTC)

    @property
    def end(self) -> datetime:
        """The moment from which no job belongs to it."""
        return self.begin + timedelta(weeks=1)


_RANGES = text("""
SELECT p.first_batch_id, p.end_batch_id,
       coalesce(p.closed_at <= clock_timestamp() - make_interval(secs => :settle), false)
       AND NOT EXISTS (SELECT FROM predictq.prediction_batches b
                       WHERE b.id >= p.first_batch_id AND b.id < p.end_batch_id)
FROM predictq.partitions p
WHERE p.parent = 'batch_outputs' AND p.leaving_at IS NULL
  AND p.first_batch_id <= (SELECT last_value FROM predictq.batch_ids)
ORDER BY p.first_batch_id
""")
_WEEKS = text("""
SELECT name, first_week FROM predictq.partitions
WHERE parent = 'jobs' AND leaving_at IS NULL AND first_week <= current_date ORDER BY first_week
""")


def read_ranges(connection: Connection, *, settle_seconds: float) -> list[BatchRange]:
    """The ranges that batch ids have reached, oldest first. One counts as closed `settle_seconds` after it was."""
    return [BatchRange(*row) for row in connection.execute(_RANGES, {"settle": settle_seconds})]


def read_weeks(connection: Connection) -> list[JobWeek]:
    """The weeks of jobs up to the present one, oldest first."""
    return [JobWeek(*row) for row in connection.execute(_WEEKS)]
