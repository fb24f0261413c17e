"""One task tells all streams: a job that cannot be told costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from api.access.auth import Validity
from api.access.caller import Caller
from api.access.caps import Cap
from api.jobs import job_events
from api.jobs.event_stream import EventStream, Follower, Stream
from api.jobs.job_events import JobEvents
from api.server.database_threads import DatabaseThreads
from shared.jobs.records import AskedFor, JobRecord
from shared.status import JobStatus
from tests.support import wait_until

ALICE, MALLORY = Caller("alice", ("read",), key_id=1), Caller("mallory", ("read",), key_id=2)
GOOD, BAD = UUID(int=1), UUID(int=2)
UNWRITABLE = AskedFor("filter", {"age": 2**70})  # JSON that orjson does not write


def job(job_id: UUID, owner: str, **more: Any) -> JobRecord:
    return JobRecord(job_id, "bulk", owner, JobStatus.QUEUED, "m", 1, 5, 0, 0, 0, datetime.now(UTC), **more)


@dataclass
class Store:
    """Where jobs are read. Those in `broken` make each query fail that asks for them."""

    jobs: dict[UUID, JobRecord]
    broken: set[UUID] = field(default_factory=set)

    def read(self, _: object, job_ids: Sequence[UUID]) -> dict[UUID, JobRecord]:
        """As `read_jobs`."""
        if self.broken & set(job_ids):
            raise ValueError("a row that cannot be read")
        return {job_id: self.jobs[job_id] for job_id in job_ids if job_id in self.jobs}


class Threads:
    """Runs what is asked for at once."""

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return work(None)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store({GOOD: job(GOOD, "alice"), BAD: job(BAD, "mallory")})
    monkeypatch.setattr(job_events, "read_jobs", store.read)
    monkeypatch.setattr(job_events, "recent_bulk_jobs", lambda *_: [("alice", GOOD), ("mallory", BAD)])
    monkeypatch.setattr(job_events, "_REST_SECONDS", 0.001)
    monkeypatch.setattr(job_events, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(job_events, "_FIRST_POLL", 0.01)
    return store


async def counts() -> bool:
    return True


def stream_of(answer: EventStream) -> Stream:
    return answer._stream


@pytest.mark.parametrize("how", ["unwritable", "unreadable"])
@pytest.mark.parametrize("when", ["from the start", "later"])
def test_a_job_that_cannot_be_told_is_left_and_the_others_are_told(store: Store, how: str, when: str) -> None:
    """Its own streams end, the stream of all its owner's jobs goes on, and the task of all streams does not fail."""

    def spoil() -> None:
        if how == "unreadable":
            store.broken.add(BAD)
        else:
            store.jobs[BAD] = replace(store.jobs[BAD], asked=UNWRITABLE, succeeded=1)

    async def check() -> None:
        events = JobEvents(cast("DatabaseThreads", Threads()), Cap("streams", "streams", of_key=9, of_all=9), "")
        if when == "from the start":
            spoil()
        follower = [Follower(caller, Validity(caller.owner.encode(), counts)) for caller in (MALLORY, ALICE)]
        bad = events.stream([store.jobs[BAD]], follower[0], ends_with=BAD)
        hers = events.stream([store.jobs[BAD]], follower[0], all_of_owner=True)
        good = events.stream([store.jobs[GOOD]], follower[1], ends_with=GOOD)
        events.start("job_events")
        with ExitStack() as opened:
            for answer in (bad, hers, good):
                opened.enter_context(answer._opened)
            assert b'"queued"' in await stream_of(good).take()
            await asyncio.sleep(0.05)
            spoil()
            await asyncio.to_thread(wait_until, lambda: stream_of(bad).is_over, seconds=5, what="its stream has ended")
            store.jobs[GOOD] = replace(store.jobs[GOOD], status=JobStatus.SUCCEEDED, succeeded=5)
            async with asyncio.timeout(5):
                assert b'"succeeded"' in await stream_of(good).take()
            assert stream_of(good).is_over
            assert not stream_of(hers).is_over
        assert (events.failures, events.is_well) == (0, True)
        await events.stop()

    asyncio.run(check())
