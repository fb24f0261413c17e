"""Whether the upkeep is going on: when it ran last, and how far ahead there are partitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class UpkeepState:
    """As the database has it."""

    ran_at: datetime | None  # the newest run of any duty; None: never
    seconds_ago: float | None
    failing: dict[str, str]  # duties whose last run failed, and why
    job_days_ahead: float  # until jobs have no partition
    batch_ranges_ahead: int  # ranges that no batch has reached
    batch_weeks_ahead: float | None  # the same at the rate of the last week; None where none was used up


def read_upkeep_state(connection: Connection) -> UpkeepState:
    """Read it; a few rows."""
    row = connection.execute(_STATE).one()
    failing = {name: outcome for name, outcome in connection.execute(_FAILING)}  # noqa: C416 - rows are no pairs
    weeks = row.ranges_ahead / row.ranges_used if row.ranges_used else None
    return UpkeepState(
        row.ran_at,
        None if row.seconds_ago is None else float(row.seconds_ago),
        failing,
        float(row.job_days or 0),
        int(row.ranges_ahead),
        weeks,
    )


_STATE = text("""
SELECT d.ran_at, extract(epoch FROM clock_timestamp() - d.ran_at) AS seconds_ago,
       (SELECT extract(epoch FROM max(first_week) AT TIME ZONE 'UTC' + interval '7 days' - clock_timestamp()) / 86400
        FROM predictq.partitions WHERE parent = 'jobs') AS job_days,
       (SELECT count(*) FROM predictq.partitions
        WHERE parent = 'batch_outputs'
          AND first_batch_id > (SELECT last_value FROM predictq.batch_ids)) AS ranges_ahead,
       (SELECT count(*) FROM predictq.partitions
        WHERE parent = 'batch_outputs' AND closed_at > clock_timestamp() - interval '1 week') AS ranges_used
FROM (SELECT max(ran_at) AS ran_at FROM predictq.duties) d
""")
_FAILING = text("SELECT name, outcome FROM predictq.duties WHERE NOT is_ok ORDER BY name")
