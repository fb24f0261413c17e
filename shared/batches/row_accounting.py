"""The row accounting: every accepted row is answered, failed, cancelled or in flight. Always, and in every snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class RowAccount:
    """Rows since the beginning, as jobs were promised and as batches account for them."""

    accepted: int
    succeeded: int
    failed: int
    cancelled: int
    in_flight: int

    @property
    def imbalance(self) -> int:
        """Accepted rows that nobody accounts for; 0, or something is broken."""
        return self.accepted - (self.succeeded + self.failed + self.cancelled + self.in_flight)


# One statement, so one snapshot: work goes on while it is counted. It reads a row per job and one per page, none per
# prediction. What retention took is in daily_counts, with what lies in partitions that are leaving; a selection counts
# as far as it is planned.
STAYS = """tableoid <> ALL (ARRAY(
    SELECT to_regclass('predictq.' || name)::oid FROM predictq.partitions
    WHERE leaving_at IS NOT NULL AND to_regclass('predictq.' || name) IS NOT NULL))"""
_ROW_ACCOUNT = text(f"""
SELECT j.rows + p.planned + d.accepted AS accepted, o.succeeded + d.succeeded AS succeeded,
       o.failed + d.failed AS failed, o.cancelled + p.cancelled + d.cancelled AS cancelled, p.in_flight
FROM (SELECT coalesce(sum(request_count), 0) AS rows FROM predictq.jobs WHERE {STAYS}) j,
     (SELECT coalesce(sum(succeeded), 0) AS succeeded, coalesce(sum(failed), 0) AS failed,
             coalesce(sum(cancelled), 0) AS cancelled FROM predictq.batch_outputs WHERE {STAYS}) o,
     (SELECT coalesce(sum(planned_rows), 0) AS planned,
             coalesce(sum(cardinality(cancelled_rows)), 0) AS cancelled,
             coalesce(sum(request_count - coalesce(cardinality(cancelled_rows), 0)), 0) AS in_flight
      FROM predictq.prediction_batches) p,
     (SELECT coalesce(sum(accepted), 0) AS accepted, coalesce(sum(succeeded), 0) AS succeeded,
             coalesce(sum(failed), 0) AS failed, coalesce(sum(cancelled), 0) AS cancelled FROM predictq.daily_counts) d
""")


def read_row_account(connection: Connection) -> RowAccount:
    """The row accounting as it stands."""
    return RowAccount(*map(int, connection.execute(_ROW_ACCOUNT).one()))
