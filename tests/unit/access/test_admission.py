"""Room for work: what waits, what was accepted since, and what is being accepted count alike."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access import admission as admission_module
from api.access.admission import Admission
from api.access.caller import Caller
from api.watch.outage_log import OutageLog
from shared.config import Settings
from shared.errors import Backlogged, DatabaseUnavailable, JobTooLarge, QuotaExceeded

ANN, BEN, CLEO = (Caller(owner, ("bulk",)) for owner in ("ann", "ben", "cleo"))


@pytest.fixture
def admission() -> Admission:
    """Of a service in which 1,000 rows may wait, and 800 of one owner. It asks no database."""
    settings = Settings(
        database_url="postgresql://nobody@localhost/none",
        redis_url="redis://localhost:1",
        max_waiting_rows=1_000,
        owner_max_waiting_rows=800,
    )
    nothing = cast("Any", None)
    return Admission(settings, nothing, nothing, OutageLog())


def test_what_is_being_accepted_takes_room_from_everybody(admission: Admission) -> None:
    """Until its block ends; then only if it was kept."""
    with admission.room(ANN) as room:
        room.take(700)
        with pytest.raises(Backlogged):
            admission.check(BEN, 301)
        admission.check(BEN, 300)
    admission.check(BEN, 800)
    with admission.room(ANN) as room:
        room.take(700)
        room.keep()
    with pytest.raises(Backlogged):
        admission.check(BEN, 301)
    admission.check(BEN, 300)


def test_an_owner_has_her_own_limit(admission: Admission) -> None:
    """Over all of her jobs, or that of her key; a job above it can never come in."""
    admission.add("ann", 500)
    admission.check(ANN, 300)
    with pytest.raises(QuotaExceeded):
        admission.check(ANN, 301)
    with pytest.raises(JobTooLarge):
        admission.check(BEN, 801)
    with pytest.raises(QuotaExceeded):
        admission.check(Caller("ann", ("bulk",), max_waiting_rows=600), 101)
    admission.check(Caller("ann", ("bulk",), max_waiting_rows=900), 301)


def test_whoever_has_little_waiting_is_let_in_all_the_same(admission: Admission) -> None:
    """Two owners cannot fill the service: a hundredth of it is for each."""
    admission.add("ann", 500)
    admission.add("ben", 500)
    admission.check(CLEO, 10)
    with pytest.raises(Backlogged):
        admission.check(CLEO, 11)


def test_a_room_that_is_refused_keeps_what_it_had(admission: Admission) -> None:
    """So a job whose size is found out on the way does not lose its place."""
    with admission.room(ANN) as room:
        room.take(300)
        with pytest.raises(QuotaExceeded), admission.room(ANN) as other:
            other.take(501)
        with pytest.raises(JobTooLarge):
            room.take(801)
        assert room.rows == 300
        with pytest.raises(QuotaExceeded):
            admission.check(ANN, 501)
        room.take(100)
        admission.check(ANN, 700)


def test_what_waits_is_asked_for_once_a_second(admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often there is time for it, and also while the database does not answer."""
    asked: list[DatabaseUnavailable | None] = []
    noted: list[DatabaseUnavailable | None] = []
    away = DatabaseUnavailable(ConnectionError("away"))

    async def sample() -> None:
        asked.append(away if not asked else None)
        await asyncio.sleep(0)
        if len(asked) == 1:
            raise away

    monkeypatch.setattr(admission, "sample", sample)
    log = SimpleNamespace(note=noted.append, note_success=lambda: noted.append(None), note_write=lambda: None)
    monkeypatch.setattr(admission, "_outage_log", log)

    async def run(seconds: float, until: int) -> None:
        monkeypatch.setattr(admission_module, "_SAMPLE_SECONDS", seconds)
        task = asyncio.create_task(admission.run())
        for _ in range(1_000):
            await asyncio.sleep(0)
            if len(noted) >= until:
                break
        task.cancel()

    asyncio.run(run(60.0, until=2))
    assert noted == [away]
    asyncio.run(run(0.0, until=3))
    assert noted == [away, None, None]
