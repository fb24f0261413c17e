"""Summaries are read once for all who ask at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from api.jobs.summaries import Summaries
from api.server.database_threads import DatabaseThreads
from shared.errors import DatabaseUnavailable
from shared.jobs.records import JobRecord


class Threads:
    """Counts what is read, in the place of PostgreSQL."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None

    async def read(self, _: Any, *, owner: str) -> str:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return f"summary {self.reads} of {owner}"


def test_many_who_ask_at_a_time_share_one_reading() -> None:
    """One of them may leave meanwhile. A reading that failed is told to all who waited, and asked for anew."""

    async def check() -> None:
        threads, summaries = Threads(), Summaries()
        job = cast("JobRecord", SimpleNamespace(job_id=uuid4()))

        def ask() -> asyncio.Task[Any]:
            return asyncio.create_task(summaries.read(cast("DatabaseThreads", threads), "alice", job))

        threads.error = DatabaseUnavailable(OSError("away"))
        for answer in await asyncio.gather(ask(), ask(), return_exceptions=True):
            assert isinstance(answer, DatabaseUnavailable)
        assert threads.reads == 1
        threads.error = None
        leaves, *stay = [ask() for _ in range(5)]
        await asyncio.sleep(0)
        leaves.cancel()
        assert {dated.summary for dated in await asyncio.gather(*stay)} == {"summary 2 of alice"}
        with pytest.raises(asyncio.CancelledError):
            await leaves
        assert (await ask()).summary == "summary 2 of alice"

    asyncio.run(check())
