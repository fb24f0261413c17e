"""Callers that wait for a job: woken by notices, and by a poll that slows down, because a notice may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from uuid import UUID

from api.deadline import current
from api.statuses import Statuses
from shared.errors import DatabaseUnavailable
from shared.jobs import JobRecord

_FIRST_POLL, _LONGEST_POLL = 0.25, 2.0  # seconds
_LAST_READ = 0.5  # seconds for the read after the wait
_REMEMBERED = 10_000  # notices kept for callers who begin to wait just after theirs came

Key = int | UUID  # the batch that a single job shares, or a bulk job


class Waiting:
    """Who waits for what."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._events: dict[Key, set[asyncio.Event]] = {}
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._released = False
        self.open = 0

    def notify(self, batch_id: int, job_id: UUID | None) -> None:
        """Wake whoever waits for this batch or job."""
        if job_id is None:
            self._recent[batch_id] = None
            if len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
        for event in self._events.get(batch_id if job_id is None else job_id, ()):
            event.set()

    def release(self) -> None:
        """Let everybody go with what there is: the process is about to end."""
        self._released = True
        for events in self._events.values():
            for event in events:
                event.set()

    async def wait(self, job: JobRecord, seconds: float) -> JobRecord:
        """The job as soon as it can no longer change, or as it stands after `seconds`, or stood when last read."""
        if job.status.is_terminal or seconds <= 0:
            return job
        current().extend(seconds)
        key: Key = job.job_id if job.batch_id is None else job.batch_id
        event = asyncio.Event()
        if key in self._recent:
            event.set()
        self._events.setdefault(key, set()).add(event)
        self.open += 1
        try:
            return await self._wait(job, event, time.monotonic() + seconds)
        finally:
            self.open -= 1
            events = self._events[key]
            events.discard(event)
            if not events:
                del self._events[key]

    async def _wait(self, job: JobRecord, event: asyncio.Event, deadline: float) -> JobRecord:
        poll = _FIRST_POLL
        while not self._released and (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(poll, left)):
                    await event.wait()
            except TimeoutError:
                poll = min(_LONGEST_POLL, poll * 2)
            event.clear()
            with contextlib.suppress(TimeoutError, DatabaseUnavailable):  # the caller asked for patience
                async with asyncio.timeout(max(deadline - time.monotonic(), _LAST_READ)):
                    job = await self._statuses.read(job.job_id, job.owner)
            if job.status.is_terminal:
                break
        return job
