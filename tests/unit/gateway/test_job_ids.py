"""Ids of new jobs: UUIDv7 by the database's clock, each higher than the one before."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import cast
from uuid import RFC_4122, UUID

import pytest

from api.intake.job_ids import JobIds, uuid7_of
from api.server.database_clock import DatabaseClock
from api.server.database_threads import DatabaseThreads

_NOBODY = cast("DatabaseThreads", None)  # nothing may be asked where the clock is known


class Clock(DatabaseClock):
    """A database's clock that the test sets."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    @property
    def is_known(self) -> bool:
        return True

    def now(self) -> float:
        return self.seconds


def ids(clock: Clock, *times: float) -> list[UUID]:
    """An id made at each of these times."""

    async def make() -> list[UUID]:
        job_ids = JobIds(clock, _NOBODY)
        made = []
        for clock.seconds in times:
            made.append(await job_ids.new())
        return made

    return asyncio.run(make())


def time_of(job_id: UUID) -> float:
    """The seconds since 1970 that a UUIDv7 says."""
    return (job_id.int >> 80) / 1000


def test_an_id_says_the_time_of_the_database() -> None:
    """To the millisecond, in the form that RFC 9562 gives it."""
    (made,) = ids(Clock(0), 1_800_000_000.123)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert time_of(made) == pytest.approx(1_800_000_000.123, abs=0.001)


def test_ids_rise_also_when_the_clock_stands_or_goes_back_a_little() -> None:
    """Lists go by them: a job that was accepted later is never listed as older."""
    times = [100.0] * 20 + [99.5] * 20 + [100.0001, 101.0]
    made = ids(Clock(0), *times)
    assert all(earlier < later for earlier, later in itertools.pairwise(made))
    assert time_of(made[-1]) == 101.0


def test_ids_follow_a_clock_that_was_set_back_far() -> None:
    """After a failover to a server that is right, ids of years ahead would miss the partitions that there are."""
    made = ids(Clock(0), 2_000_000_000.0, 1_700_000_000.0, 1_700_000_000.0)
    assert time_of(made[1]) == 1_700_000_000.0
    assert made[1] < made[2] < made[0]


def test_ids_of_one_moment_differ() -> None:
    """Two gateways may make them at the same tick."""
    assert len({uuid7_of(5) for _ in range(100)}) == 100


def test_the_clock_of_this_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is the distance to a clock that nobody sets."""

    class Answer:
        def execute(self, _: object) -> Answer:
            return self

        def scalar_one(self) -> float:
            return 5_000.0

    clock = DatabaseClock()
    with pytest.raises(RuntimeError):
        clock.now()
    clock.read(cast("object", Answer()))  # type: ignore[arg-type]  # all that is used of a connection
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert clock.now() == pytest.approx(5_000, abs=5)
