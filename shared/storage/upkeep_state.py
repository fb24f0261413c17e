"""Whether the upkeep is going on: when each duty ran last, and how far ahead there are partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_DAY = 86_400.0
_AHEAD_SECONDS = 60.0  # what a clock may be put right by


@dataclass(frozen=True, slots=True)
class DutyState:
    """A duty as the upkeep process has written it down. Times by the clock of the database."""

    name: str
    age_seconds: float  # since its last run that ended began, or its first one; below 0: the clock was ahead
    running_seconds: float | None  # since the run began that is under way, or was when the process ended
    is_ok: bool  # how the last run ended
    outcome: str
    every_seconds: float
    patience_seconds: float  # what a run of it, or those it waits for, may take

    @property
    def seen_seconds(self) -> float:
        """How long ago there was a sign of it."""
        return self.age_seconds if self.running_seconds is None else min(self.age_seconds, self.running_seconds)

    @property
    def is_ahead(self) -> bool:
        """Whether it ran, or began, at a time that is still to come."""
        return self.seen_seconds < -_AHEAD_SECONDS

    @property
    def hangs(self) -> bool:
        """Whether a run of it takes longer than it may."""
        return self.running_seconds is not None and self.running_seconds > self.patience_seconds

    @property
    def is_late(self) -> bool:
        """Whether it has missed ten of its runs, or has not run for two days."""
        if self.is_ahead or self.running_seconds is not None:
            return self.is_ahead or self.hangs
        return self.age_seconds > self.every_seconds + min(9 * self.every_seconds, _DAY) + self.patience_seconds


@dataclass(frozen=True, slots=True)
class UpkeepState:
    """As the database has it."""

    duties: tuple[DutyState, ...]
    ran_at: datetime | None  # the newest run of any duty; None: never
    job_days_ahead: float  # until jobs have no partition
    batch_ranges_ahead: int  # ranges that no batch has reached
    batch_weeks_ahead: float | None  # the same at the rate of the last week; None where none was used up

    @property
    def failing(self) -> dict[str, str]:
        """Duties whose last run failed, and why."""
        return failing_duties(self.duties)


def failing_duties(duties: Sequence[DutyState]) -> dict[str, str]:
    """Of these the ones whose last run failed, and why."""
    return {duty.name: duty.outcome for duty in duties if not duty.is_ok}


def read_upkeep_state(connection: Connection) -> UpkeepState:
    """Read it; a few rows."""
    row = connection.execute(_STATE).one()
    weeks = row.ranges_ahead / row.ranges_used if row.ranges_used else None
    return UpkeepState(
        tuple(read_duties(connection)), row.ran_at, float(row.job_days or 0), int(row.ranges_ahead), weeks
    )


def read_duties(connection: Connection) -> list[DutyState]:
    """All duties that ever ran, by name."""
    return [DutyState(*row) for row in connection.execute(_DUTIES)]


_DUTIES = text("""
SELECT name, CAST(extract(epoch FROM clock_timestamp() - coalesce(ran_at, began_at)) AS float8),
       CAST(extract(epoch FROM clock_timestamp() - began_at) AS float8), is_ok, outcome, every_seconds, patience_seconds
FROM predictq.duties WHERE coalesce(ran_at, began_at) IS NOT NULL ORDER BY name
""")
_STATE = text("""
SELECT (SELECT max(greatest(ran_at, began_at)) FROM predictq.duties) AS ran_at,
       (SELECT extract(epoch FROM max(first_week) AT TIME ZONE 'UTC' + interval '7 days' - clock_timestamp()) / 86400
        FROM predictq.partitions WHERE parent = 'jobs') AS job_days,
       (SELECT count(*) FROM predictq.partitions
        WHERE parent = 'batch_outputs'
          AND first_batch_id > (SELECT last_value FROM predictq.batch_ids)) AS ranges_ahead,
       (SELECT count(*) FROM predictq.partitions
        WHERE parent = 'batch_outputs' AND closed_at > clock_timestamp() - interval '1 week') AS ranges_used
""")
