"""A run of retention: look at what is due, delete at the borders page by page, drop the partitions that go whole."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Engine

from shared.postgres.engine import transaction
from shared.retention.due import DueRange
from shared.retention.look import Look, look_again, look_for_due
from shared.retention.page_deletion import BeforeGoing, Page, border_pages, delete_empty_jobs, delete_pages, due_pages
from shared.retention.partitions.choice import Choice
from shared.retention.partitions.leaving import drop_leaving, mark_leaving
from shared.retention.partitions.ranges import PAGE_TABLES
from shared.retention.report import Report, count_models
from shared.retention.rules.errors import DoesNotAddUp
from shared.retention.thinning import Rewriter, rows_to_thin, thin_pages

SETTLE_SECONDS = 3600.0  # from the closing of a range until nobody can be about to write into it
BORDER_BUDGET = 1_000_000  # single jobs of one range that are rather deleted one by one than waited for: 8 s


def dry_run(engine: Engine, now: datetime, *, settle_seconds: float = SETTLE_SECONDS) -> Report:
    """What a run would take at `now`. Reads only."""
    started = time.monotonic()
    look = look_for_due(engine, now, settle_seconds=settle_seconds)
    report = _report(look, look.choose(BORDER_BUDGET), BORDER_BUDGET, is_dry=True)
    pages = [rows_to_thin(engine, one.batches, look.cutoffs, look.kept) for one in look.due.values()]
    report.thinned_rows = sum(sum(rows.values()) for rows in pages)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def run_retention(
    engine: Engine,
    now: datetime,
    *,
    before_going: BeforeGoing | None = None,
    rewriter: Rewriter | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    budget: int = BORDER_BUDGET,
) -> Report:
    """Let go what is due at `now`. That one run is at work at a time is the caller's care (`shared.postgres.turns`).

    `before_going` is called with pages of a range before they go; what it raises ends the run with them in place.
    `rewriter` makes pages anew that stay for the sake of held rows; without one they stay as they are.
    Every step commits by itself, so the next run goes on with what an earlier one left.
    Raises DoesNotAddUp, HoldsChanged, PeriodsChanged, DatabaseBlocked, DatabaseUnavailable.
    """
    started = time.monotonic()
    dropped = drop_leaving(engine)
    look = look_for_due(engine, now, settle_seconds=settle_seconds)
    report = _report(look, look.choose(budget), budget, is_dry=False)
    work = _Work(engine, before_going)
    look = work.delete_due(look, budget)
    if rewriter is not None:
        report.thinned_rows = work.thin(look, rewriter)
    expected = look.choose(budget)
    look = work.delete_borders(look, expected)
    report.partitions = dropped + work.drop(look)
    work.require_gone(look, expected)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _report(look: Look, choice: Choice, budget: int, *, is_dry: bool) -> Report:
    going = [one for number, one in look.due.items() if number in choice.ranges or _goes_by_pages(one, budget)]
    waiting = [one for one in look.due.values() if one not in going]
    names = [look.weeks[number].week.name for number in sorted(choice.weeks)]
    names += [look.ranges[number].name(parent) for number in sorted(choice.ranges) for parent in PAGE_TABLES]
    return Report(
        is_dry,
        partitions=names if is_dry else [],
        models=count_models(going, look.cutoffs),
        waiting=sum(count.rows for one in waiting for count in one.due),
    )


def _goes_by_pages(due: DueRange, budget: int) -> bool:
    """Whether what is due goes before the rest: it is little, or age alone will never make the range whole."""
    return bool(due.due) and not due.whole and (due.due_weight <= budget or not due.whole_at_last)


class _Work:
    """The three steps of a run, in their order."""

    def __init__(self, engine: Engine, before_going: BeforeGoing | None) -> None:
        self._engine = engine
        self._before_going = before_going

    def delete_due(self, look: Look, budget: int) -> Look:
        """Delete what is due in ranges that cannot go whole."""
        changed: set[str] = set()
        for one in look.due.values():
            if _goes_by_pages(one, budget):
                changed |= self._delete(look, one, self._due_pages(look, one))
        return self._again(look, changed)

    def thin(self, look: Look, rewriter: Rewriter) -> int:
        """Take out of pages that are held what is due and not held. Returns how many rows went."""
        return sum(
            thin_pages(self._engine, one.batches, look.rules, look.kept, rewriter, self._before_going).rows
            for one in look.due.values()
        )

    def delete_borders(self, look: Look, choice: Choice) -> Look:
        """Delete pages of ranges that go, whose jobs are in weeks that stay."""
        weeks = [look.weeks[number].week for number in sorted(choice.weeks)]
        changed: set[str] = set()
        for number in sorted(choice.borders):
            with transaction(self._engine) as connection:
                pages = border_pages(connection, look.ranges[number], weeks)
            changed |= self._delete(look, look.due[number], pages)
        return self._again(look, changed)

    def drop(self, look: Look) -> list[str]:
        """Take away the partitions that go whole. Returns their names."""
        choice = look.choose(0)
        ranges = [look.due[number] for number in sorted(choice.ranges)]
        if self._before_going is not None:
            for one in ranges:
                self._before_going(one.batches, [page.batch_id for page in self._due_pages(look, one)])
        for number, week in enumerate(look.weeks):
            if number not in choice.weeks:
                delete_empty_jobs(self._engine, week.week, look.rules)
        if not choice.ranges and not choice.weeks:
            return []
        mark_leaving(self._engine, ranges, [look.weeks[number] for number in sorted(choice.weeks)], look.rules)
        return drop_leaving(self._engine)

    def require_gone(self, look: Look, expected: Choice) -> None:
        """Raise DoesNotAddUp where a range is due as a whole and had to stay: pages of it lack their jobs."""
        for number in sorted(expected.ranges - look.choose(0).ranges):
            weights = {week.week.name: week.weights[number] for week in look.weeks if number in week.weights}
            rows = sum(count.rows for count in look.due[number].stored)
            raise DoesNotAddUp(weights, f"{rows} rows in {look.ranges[number].name('batch_outputs')}")

    def _due_pages(self, look: Look, due: DueRange) -> Sequence[Page]:
        with transaction(self._engine) as connection:
            return due_pages(connection, due, look.cutoffs)

    def _delete(self, look: Look, due: DueRange, pages: Sequence[Page]) -> set[str]:
        deleted = delete_pages(self._engine, due.batches, pages, rules=look.rules, before_going=self._before_going)
        return deleted.tables

    def _again(self, look: Look, changed: Collection[str]) -> Look:
        return look_again(self._engine, look, changed) if changed else look
