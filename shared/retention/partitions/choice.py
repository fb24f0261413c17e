"""Which partitions can go whole: ranges of batches and weeks of jobs whose borders do not meet.

A range goes when every page in it is due, a week when every page of its jobs goes with it or is gone. Jobs and pages go
together, so the two sets must close: every job of these weeks has its pages in these ranges, and the other way round.
Jobs at the borders are few, and are deleted one by one before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RangeFacts:
    """A range of batches. `weight`: what deleting all its pages with their jobs would cost."""

    whole: bool  # all of it is due
    whole_at_last: bool  # age alone will make it whole
    weight: int


@dataclass(frozen=True, slots=True)
class WeekFacts:
    """A week of jobs. `weights`: what its jobs cost to delete, by the number of the range of their pages."""

    weights: Mapping[int, int]
    can_go: bool  # the week is over, and every job of it has ended


@dataclass(frozen=True, slots=True)
class Choice:
    """What goes whole; in `borders` pages of ranges that go, whose jobs are in weeks that stay; what waits."""

    ranges: frozenset[int]
    weeks: frozenset[int]
    borders: frozenset[int]
    waiting: frozenset[int]


def choose(ranges: Sequence[RangeFacts], weeks: Sequence[WeekFacts], *, budget: int) -> Choice:
    """Choose the largest sets that close, but for borders of at most `budget` in weight for each range.

    A range whose jobs are mostly in a week that is not due yet waits for that week, if age alone will bring it.
    Else its pages are all border, whatever their weight: they are due and must not wait for ever.
    """
    going = {number for number, facts in enumerate(ranges) if facts.whole}
    waiting: set[int] = set()
    while True:
        leaving = {number for number, week in enumerate(weeks) if week.can_go and _is_within(week, going)}
        late = {
            number
            for number in going
            if _outside(number, ranges[number], weeks, leaving) > budget
            and all(
                _will_go(week, ranges) for n, week in enumerate(weeks) if n not in leaving and number in week.weights
            )
        }
        if not late:
            break
        going -= late
        waiting |= late
    borders = {number for number in going if _outside(number, ranges[number], weeks, leaving) > 0}
    return Choice(frozenset(going), frozenset(leaving), frozenset(borders), frozenset(waiting))


def _is_within(week: WeekFacts, going: set[int]) -> bool:
    return all(number in going for number, weight in week.weights.items() if weight)


def _outside(number: int, facts: RangeFacts, weeks: Sequence[WeekFacts], leaving: set[int]) -> int:
    """The weight of a range's pages whose jobs are in weeks that stay."""
    return facts.weight - sum(weeks[week].weights.get(number, 0) for week in leaving)


def _will_go(week: WeekFacts, ranges: Sequence[RangeFacts]) -> bool:
    return all(0 <= number < len(ranges) and ranges[number].whole_at_last for number in week.weights)
