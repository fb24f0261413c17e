"""What is due at one moment: read once, and read anew only where something was deleted since."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Engine, text

from shared.postgres.engine import transaction
from shared.retention.cutoffs import Cutoff
from shared.retention.due import DueRange, is_untouched, read_due
from shared.retention.held import Kept, read_kept
from shared.retention.partitions.choice import Choice, RangeFacts, WeekFacts, choose
from shared.retention.partitions.ranges import BatchRange, JobWeek, read_ranges, read_weeks
from shared.retention.partitions.weeks import WeekCount, read_week
from shared.retention.standing_rules import StandingRules, read_standing_rules

_WEEK_OVER = timedelta(days=1)  # a gateway's clock may be behind
_UNTOUCHED = RangeFacts(whole=False, whole_at_last=True, weight=0)


@dataclass(frozen=True, slots=True)
class Look:
    """What is due. `due` goes by the position of the range; ranges in which nothing can be due are absent."""

    rules: StandingRules
    kept: Kept
    ranges: Sequence[BatchRange]
    due: Mapping[int, DueRange]
    weeks: Sequence[WeekCount]

    @property
    def cutoffs(self) -> Mapping[int, Cutoff]:
        """Before when answers are due, by version id."""
        return self.rules.cutoffs

    def choose(self, budget: int) -> Choice:
        """Which partitions can go whole."""
        ranges = [_facts(self.due.get(number)) for number in range(len(self.ranges))]
        weeks = [
            WeekFacts(week.weights, can_go=not week.staying and week.week.end + _WEEK_OVER < self.rules.now)
            for week in self.weeks
        ]
        return choose(ranges, weeks, budget=budget)


def _facts(due: DueRange | None) -> RangeFacts:
    if due is None:
        return _UNTOUCHED
    return RangeFacts(due.whole, due.whole_at_last, sum(count.weight for count in due.stored))


def look_for_due(engine: Engine, now: datetime, *, settle_seconds: float) -> Look:
    """Read what is due at `now`. Each range and each week is read in a transaction of its own."""
    with transaction(engine) as connection:
        rules = read_standing_rules(connection, now)  # first: a hold that comes while this looks ends the run
        cutoffs = rules.cutoffs
        ranges = read_ranges(connection, settle_seconds=settle_seconds) if cutoffs else []
        touched = [number for number, one in enumerate(ranges) if not is_untouched(connection, one, cutoffs)]
        kept = read_kept(connection, [ranges[number] for number in touched])
        weeks = read_weeks(connection) if cutoffs else []
    latest = max((cutoff.before for cutoff in cutoffs.values()), default=now)
    due = {number: _read_due(engine, ranges[number], cutoffs, kept) for number in touched}
    old = [week for week in weeks if week.begin < latest]
    return Look(rules, kept, ranges, due, [_read_week(engine, week, ranges, cutoffs) for week in old])


def look_again(engine: Engine, look: Look, changed: Collection[str]) -> Look:
    """The same look after pages were deleted; only partitions whose names are in `changed` are read anew."""
    due = {
        number: _read_due(engine, one.batches, look.cutoffs, look.kept)
        if one.batches.table("batch_outputs") in changed
        else one
        for number, one in look.due.items()
    }
    weeks = [
        _read_week(engine, one.week, look.ranges, look.cutoffs) if one.week.table in changed else one
        for one in look.weeks
    ]
    return replace(look, due=due, weeks=weeks)


def _read_due(engine: Engine, batches: BatchRange, cutoffs: Mapping[int, Cutoff], kept: Kept) -> DueRange:
    with transaction(engine) as connection:
        return read_due(connection, batches, cutoffs, kept)


def _read_week(engine: Engine, week: JobWeek, ranges: Sequence[BatchRange], cutoffs: Mapping[int, Cutoff]) -> WeekCount:
    with transaction(engine) as connection:
        # It may be fifty million jobs; with less memory they would be sorted.
        connection.execute(text("SET LOCAL max_parallel_workers_per_gather = 2"))
        connection.execute(text("SET LOCAL work_mem = '64MB'"))
        return read_week(connection, week, ranges, cutoffs)
