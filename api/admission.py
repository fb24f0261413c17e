"""Letting work in only while there is room: for everybody together, and for each owner."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from api.auth import Caller
from api.database import Lane
from shared.config import Settings
from shared.errors import Backlogged, DatabaseUnavailable, JobTooLarge, QuotaExceeded
from shared.status import Queue
from shared.sweep import Backlog, backlog, owner_backlog

REFUSALS = (Backlogged, JobTooLarge, QuotaExceeded)

_SAMPLE_SECONDS = 1.0


class Admission:
    """Knows how many rows wait: sampled once a second, plus what this process accepted since."""

    def __init__(self, settings: Settings, lane: Lane) -> None:
        self._lane = lane
        self._limit = settings.max_waiting_rows
        self._owner_limit = settings.owner_max_waiting_rows
        self._least_limit = self._owner_limit
        self._sampled: dict[str, int] = {}
        self._since: Counter[str] = Counter()
        self._waiting = 0  # rows of all owners, sampled and since
        self._task: asyncio.Task[None] | None = None
        self.backlog: list[Backlog] = []

    def check(self, caller: Caller, rows: int) -> None:
        """Whether `rows` more may come in. Raises JobTooLarge, Backlogged or QuotaExceeded."""
        limit = caller.max_waiting_rows or self._owner_limit
        if rows > min(limit, self._limit):
            raise JobTooLarge(rows, min(limit, self._limit), caller.owner if limit <= self._limit else None)
        waiting = self._waiting
        if waiting + rows > self._limit:
            raise Backlogged(waiting, self._limit)
        self._least_limit = min(self._least_limit, limit)
        of_owner = self._sampled.get(caller.owner, 0) + self._since[caller.owner]
        if of_owner + rows > limit:
            raise QuotaExceeded(caller.owner, of_owner, limit)

    def add(self, owner: str, rows: int) -> None:
        """Count what was accepted until the next sample includes it."""
        self._since[owner] += rows
        self._waiting += rows

    async def sample(self) -> None:
        """Ask the database what waits. Raises DatabaseUnavailable."""
        counted_before = self._since.copy()
        self.backlog, self._sampled = await self._lane.run(self._query)
        self._since -= counted_before
        self._waiting = sum(queue.waiting_rows for queue in self.backlog) + self._since.total()

    def start(self) -> None:
        """Begin to sample in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the sampling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(DatabaseUnavailable):  # then nothing is accepted either
                await self.sample()
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _query(self) -> tuple[list[Backlog], dict[str, int]]:
        queues = backlog(self._lane.engine)
        singles = sum(item.waiting_rows for item in queues if item.queue is Queue.INTERACTIVE)
        owners = owner_backlog(self._lane.engine, with_singles=False)
        if singles + max(owners.values(), default=0) >= self._least_limit:
            owners = owner_backlog(self._lane.engine, with_singles=True)
        return queues, owners
