"""How far apart groups of single jobs are committed."""

from __future__ import annotations

import pytest

from api.intake import group_spacing
from api.intake.group_spacing import GroupSpacing

LINGER = 0.01


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the group spacing goes by: one number, to be moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(group_spacing.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("size", "seconds"), [(0, 0), (1, 0), (4, 0.005), (8, 0.01), (500, 0.01)])
def test_the_linger_grows_with_the_last_group(size: int, seconds: float) -> None:
    """A lone job never waits; after a few the next waits a little, after many the whole linger."""
    assert GroupSpacing(LINGER).spacing(size) == pytest.approx(seconds)


def test_late_answers_space_small_groups_out(clock: list[float]) -> None:
    """The next group waits as long as the oldest is late, up to four lingers; one that is large enough does not."""
    groups = GroupSpacing(LINGER)
    groups.sent([1])
    clock[0] += 0.015
    groups.sent([2])
    assert groups.spacing(1) == 0, "an answer within 20 ms is on time"
    clock[0] += 0.02
    assert groups.spacing(1) == pytest.approx(0.015)
    clock[0] += 1
    assert groups.spacing(1) == pytest.approx(4 * LINGER)
    assert groups.spacing(100) == pytest.approx(LINGER)


def test_an_answer_ends_the_wait(clock: list[float]) -> None:
    """Only batches of this gateway that are still unanswered count; those of others are passed over."""
    groups = GroupSpacing(LINGER)
    groups.sent([1, 2])
    clock[0] += 1
    groups.answered(99)
    groups.answered(1)
    assert groups.spacing(1) > 0
    groups.answered(2)
    assert groups.spacing(1) == 0


def test_a_lost_notice_is_not_waited_for(clock: list[float]) -> None:
    """Notices are best effort: after a few seconds a batch without one is taken for answered."""
    groups = GroupSpacing(LINGER)
    groups.sent([1])
    clock[0] += 60
    groups.sent([2])
    assert groups.spacing(1) == 0
    assert list(groups._unanswered) == [2], "without Redis, what is remembered must not grow"


@pytest.mark.parametrize(("seconds", "is_waited_for"), [(4.9, True), (5.1, False)])
def test_a_lone_group_is_waited_for_five_seconds(clock: list[float], seconds: float, is_waited_for: bool) -> None:
    """Though no other is sent meanwhile."""
    groups = GroupSpacing(LINGER)
    groups.sent([1])
    clock[0] += seconds
    assert (groups.spacing(1) > 0) is is_waited_for
    assert (groups.enough(3) == 32) is is_waited_for


def test_a_long_linger_leaves_calls_their_deadline(clock: list[float]) -> None:
    """Five lingers of a second would be longer than a call may take."""
    for linger, longest in ((1.0, 1.0), (0.2, 0.25)):
        groups = GroupSpacing(linger)
        groups.sent([1])
        clock[0] += 4
        assert groups.spacing(1) == pytest.approx(longest)


def test_without_a_linger_nobody_waits(clock: list[float]) -> None:
    """`PREDICTQ_LINGER_MS=0` switches all waiting off."""
    groups = GroupSpacing(0)
    groups.sent([1])
    clock[0] += 1
    assert groups.spacing(1) == groups.spacing(10) == 0


def test_as_many_as_came_before_need_not_wait(clock: list[float]) -> None:
    """Once all callers of the last group are back the next group goes; while answers are late, not with a few."""
    groups = GroupSpacing(LINGER)
    assert groups.enough(3) == 16
    assert groups.enough(40) == 40
    groups.sent([1])
    clock[0] += 1
    assert groups.enough(3) == groups.enough(20) == 32
    assert groups.enough(40) == 40
