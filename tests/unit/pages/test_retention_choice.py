"""Which partitions can go whole; periods as people write them; what the doctor says of the upkeep."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.commands.stored.retention import size_text
from cli.doctor.upkeep import examine_disk, examine_partitions, examine_runs
from shared.retention.partitions.choice import RangeFacts, WeekFacts, choose
from shared.retention.rules.errors import PeriodRefused
from shared.retention.rules.period import parse_period
from shared.storage.disk import Disk
from shared.storage.upkeep_state import DutyState, UpkeepState

WHOLE = RangeFacts(whole=True, whole_at_last=True, weight=100)
LATER = RangeFacts(whole=False, whole_at_last=True, weight=100)
NEVER = RangeFacts(whole=False, whole_at_last=False, weight=100)


def test_ranges_and_weeks_that_close_go() -> None:
    """Where every job of the weeks has its pages in the ranges, and the other way round, all of them go."""
    weeks = [WeekFacts({0: 100, 1: 40}, can_go=True), WeekFacts({1: 60}, can_go=True)]
    choice = choose([WHOLE, WHOLE], weeks, budget=0)
    assert (choice.ranges, choice.weeks, choice.borders) == ({0, 1}, {0, 1}, frozenset())


def test_a_week_that_goes_on_keeps_its_ranges_waiting() -> None:
    """A range whose jobs are in a week that will be due by age waits for it, and so does nothing else."""
    weeks = [WeekFacts({0: 100}, can_go=True), WeekFacts({1: 100, 2: 100}, can_go=True)]
    choice = choose([WHOLE, WHOLE, LATER], weeks, budget=50)
    assert (choice.ranges, choice.weeks, choice.waiting) == ({0}, {0}, {1})


def test_a_small_border_does_not_wait() -> None:
    """A range with few jobs in a week that stays goes, once those are deleted one by one."""
    weeks = [WeekFacts({0: 90}, can_go=True), WeekFacts({0: 10, 1: 100}, can_go=True)]
    choice = choose([WHOLE, LATER], weeks, budget=50)
    assert (choice.ranges, choice.weeks, choice.borders) == ({0}, {0}, {0})


def test_what_is_due_never_waits_for_what_is_held() -> None:
    """A week that will never go whole keeps nothing waiting: all pages of its ranges are border."""
    weeks = [WeekFacts({0: 100, 1: 100}, can_go=True)]
    choice = choose([WHOLE, NEVER], weeks, budget=10)
    assert (choice.ranges, choice.weeks, choice.borders, choice.waiting) == ({0}, frozenset(), {0}, frozenset())


def test_a_chain_of_weeks_and_ranges_unwinds() -> None:
    """Every week that stays takes its ranges out, and these their weeks, until what is left closes."""
    weeks = [WeekFacts({0: 50, 1: 50}, can_go=True), WeekFacts({1: 50, 2: 50}, can_go=True)]
    weeks.append(WeekFacts({2: 50}, can_go=False))
    choice = choose([RangeFacts(whole=True, whole_at_last=True, weight=50), WHOLE, WHOLE], weeks, budget=10)
    assert (choice.ranges, choice.weeks) == (frozenset(), frozenset())
    assert choice.waiting == {0, 1, 2}


@pytest.mark.parametrize(
    ("written", "read"),
    [("13 months", "13 months"), (" 1  Year ", "1 years"), ("400 days", "400 days"), ("for ever", None)],
)
def test_periods_are_read_as_people_write_them(written: str, read: str | None) -> None:
    """A number and a unit, or for ever."""
    assert parse_period(written) == read


@pytest.mark.parametrize(
    "written", ["", "13", "months", "-1 months", "0 days", "1.5 years", "13 months; DROP", "١ days"]
)
def test_everything_else_is_no_period(written: str) -> None:
    """Nothing else is guessed at."""
    with pytest.raises(PeriodRefused):
        parse_period(written)


def duty(name: str, **changes: object) -> DutyState:
    values: dict[str, object] = {
        "name": name,
        "age_seconds": 10.0,
        "running_seconds": None,
        "is_ok": True,
        "outcome": "",
        "every_seconds": 60.0,
        "patience_seconds": 600.0,
    }
    return DutyState(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"age_seconds": 1_100.0}, None),
        ({"age_seconds": 1_300.0}, "retention has not run for 21 minutes"),
        ({"every_seconds": 86_400.0, "age_seconds": 170_000.0}, None),
        ({"every_seconds": 86_400.0, "age_seconds": 180_000.0}, "retention has not run for 2 days"),
        ({"running_seconds": 500.0, "age_seconds": 900_000.0}, None),
        ({"running_seconds": 260_000.0}, "retention has been at it for 3 days"),
        ({"age_seconds": -400_000.0}, "retention ran at a time that is still to come: the clock of PostgreSQL was"),
        ({"age_seconds": -5.0}, None),
        ({"is_ok": False, "outcome": "no room"}, "retention fails: no room"),
    ],
)
def test_a_duty_is_judged_by_its_own_pause(changes: dict[str, object], words: str | None) -> None:
    """However well the others go: one that hangs, is late or fails is told, with what to type."""
    finding = examine_runs(state(duties=(duty("samples"), duty("retention", **changes))))
    assert (finding.ok, finding.detail.startswith(words or "at work")) == (words is None, True), finding.detail
    assert finding.ok or finding.advice


def test_what_hangs_is_told_before_what_waits_for_it() -> None:
    """Whoever reads the first words knows which one it is."""
    duties = (duty("expiry", age_seconds=9_000.0), duty("retention", running_seconds=9_000.0), duty("samples"))
    assert examine_runs(state(duties=duties)).detail.startswith("retention has been at it")


LONG = {"every_seconds": 86_400.0, "patience_seconds": 7_200.0}


def test_nobody_is_told_to_end_what_is_at_work() -> None:
    """After three days without the upkeep its first duty runs, and the others wait for it: it was to be ended."""
    began = duty("retention", **LONG, age_seconds=260_000.0, running_seconds=2.0)
    waiting = duty("erasures", **LONG, age_seconds=260_000.0)
    catching_up = examine_runs(state(duties=(began, waiting, duty("samples"))))
    assert "erasures has not run for 3 days, and waits while retention is at work" in catching_up.detail
    assert "leave it at work" in catching_up.advice
    assert "end that process" not in catching_up.advice
    # One of the duties that run beside them, each second, makes up for none of them.
    alone = examine_runs(state(duties=(waiting, duty("samples", running_seconds=0.1))))
    assert "end that process" in alone.advice
    hangs = examine_runs(state(duties=(duty("retention", **LONG, running_seconds=9_000.0), waiting)))
    assert "may take hours. Where nothing moves, end that process" in hangs.advice


def state(**changes: object) -> UpkeepState:
    values: dict[str, object] = {
        "duties": (duty("expiry"), duty("samples")),
        "ran_at": datetime.now(UTC),
        "job_days_ahead": 50.0,
        "batch_ranges_ahead": 8,
        "batch_weeks_ahead": None,
    }
    return UpkeepState(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "runs", "partitions"),
    [
        ({}, True, True),
        ({"duties": (), "ran_at": None}, False, True),
        ({"duties": (duty("expiry", age_seconds=700.0),)}, False, True),
        ({"job_days_ahead": 13.0}, True, False),
        ({"batch_ranges_ahead": 0}, True, False),
        ({"batch_weeks_ahead": 1.5}, True, False),
        ({"batch_weeks_ahead": 2.5}, True, True),
    ],
)
def test_the_doctor_warns_of_upkeep_in_time(changes: dict[str, object], runs: bool, partitions: bool) -> None:
    """No run for ten minutes, and fewer than two weeks of partitions are told, with what to type."""
    findings = [examine_runs(state(**changes)), examine_partitions(state(**changes))]
    assert [finding.ok for finding in findings] == [runs, partitions]
    assert all(finding.advice for finding in findings if not finding.ok)


def test_the_doctor_warns_a_month_before_the_disk_is_full() -> None:
    """The days that are left are told; where the disk cannot be seen, that is."""
    assert examine_disk(Disk(10_000_000, 310_000_000)).ok
    finding = examine_disk(Disk(10_000_000, 290_000_000))
    assert not finding.ok
    assert "29 days" in finding.detail
    assert "PREDICTQ_DISK_BYTES" in examine_disk(Disk(1_000_000, None)).detail
    assert examine_disk(Disk(0, 101_000_000)).ok
    finding = examine_disk(Disk(0, 99_000_000))  # one job may fill it, though nothing has grown lately
    assert (finding.ok, finding.detail.endswith(": full, or nearly")) == (False, True)


def test_sizes_are_said_in_units() -> None:
    """Three digits at most before the point."""
    assert [size_text(size) for size in (0, 999, 1_500, 999_999, 2_345_678, 7e12)] == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "1.0 MB",
        "2.3 MB",
        "7.0 TB",
    ]
