"""Streams end with what they were opened by, and with nothing else."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from api.access.auth import Validity
from api.access.caller import Caller
from api.access.caps import Cap
from api.access.oidc.fetch import ProviderAway
from api.jobs.event_stream import Follower, Stream
from api.jobs.job_events import JobEvents
from api.server.database_threads import DatabaseThreads
from shared.errors import DatabaseUnavailable

ALICE = Caller("alice", ("read",), key_id=1)


def opened(came_with: bytes, *, counts: bool, asked: list[bytes]) -> Stream:
    async def is_valid() -> bool:
        asked.append(came_with)
        return counts

    return Stream(Follower(ALICE, Validity(came_with, is_valid)))


def test_a_session_that_ended_ends_no_stream_of_its_key_nor_of_another_session() -> None:
    """All of them are the same caller. One that was opened later keeps no ended one open; each is asked about once."""

    async def check() -> None:
        events = JobEvents(cast("DatabaseThreads", None), Cap("streams", "streams", of_key=9, of_all=9), "")
        asked: list[bytes] = []
        ended = [opened(b"session 1", counts=False, asked=asked) for _ in range(2)]
        open_still = [opened(b"key", counts=True, asked=asked), opened(b"session 2", counts=True, asked=asked)]
        events._streams = {*ended, *open_still}
        await events._end_without_key()
        assert [stream.is_over for stream in (*ended, *open_still)] == [True, True, False, False]
        assert sorted(asked) == [b"key", b"session 1", b"session 2"]

    asyncio.run(check())


@pytest.mark.parametrize("error", [ProviderAway("no answer"), DatabaseUnavailable(OSError()), RuntimeError()])
def test_one_that_cannot_be_asked_keeps_no_other_open(error: Exception) -> None:
    """A provider or a database that is away says nothing of a stream: it stays open, and the others are asked."""

    async def fail() -> bool:
        raise error

    async def check() -> None:
        events = JobEvents(cast("DatabaseThreads", None), Cap("streams", "streams", of_key=9, of_all=9), "")
        unknown = Stream(Follower(ALICE, Validity(b"token", fail)))
        ended = [opened(b"session %d" % number, counts=False, asked=[]) for number in range(3)]
        events._streams = {ended[0], unknown, *ended[1:]}
        await events._end_without_key()
        assert [stream.is_over for stream in (unknown, *ended)] == [False, True, True, True]

    asyncio.run(check())
