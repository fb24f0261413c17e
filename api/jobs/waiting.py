"""Callers that wait for a job: woken by notices, and by a poll that slows down, because a notice may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from uuid import UUID

from api.jobs.statuses import Statuses
from api.server.deadline import current
from shared.errors import DatabaseUnavailable
from shared.jobs.records import JobRecord
from shared.messaging.messages import Notice

_FIRST_POLL, _LONGEST_POLL = 0.25, 2.0  # seconds
_LAST_READ = 0.5  # seconds for the read after the wait
_REMEMBERED = 10_000  # notices kept for callers who begin to wait just after theirs came


class _Waiter:
    """One caller. `rows_left` are those of a bulk job that nobody has noticed to be done; None: not known."""

    def __init__(self, rows_left: int | None = None) -> None:
        self.event = asyncio.Event()
        self.rows_left = rows_left

    def take(self, rows: int | None) -> None:
        """Wake up, unless the job cannot be over yet: a read for each batch of a bulk job would be felt."""
        if self.rows_left is not None and rows is not None:
            self.rows_left -= rows
            if self.rows_left > 0:
                return
        self.event.set()


class Waiting:
    """Who waits for what."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._waiters: dict[int | UUID, set[_Waiter]] = {}  # by the batch that single jobs share, or the bulk job
        self._recent: OrderedDict[int | UUID, int] = OrderedDict()  # rows done of each, as far as noticed
        self._released = False
        self.open = 0

    def notify(self, notice: Notice) -> None:
        """Wake whoever waits for this batch, or for this job's last batch."""
        key = notice.batch_id if notice.job_id is None else notice.job_id
        self._recent[key] = self._recent.get(key, 0) + (notice.rows or 0)
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        for waiter in self._waiters.get(key, ()):
            waiter.take(notice.rows)

    def release(self) -> None:
        """Let everybody go with what there is: the process is about to end."""
        self._released = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.event.set()

    async def wait(self, job: JobRecord, seconds: float) -> JobRecord:
        """The job as soon as it can no longer change, or as it stands after `seconds`, or stood when last read."""
        if job.status.is_terminal or seconds <= 0:
            return job
        current().extend(seconds)
        waiter = self._waiter(job)
        key = job.job_id if job.batch_id is None else job.batch_id
        self._waiters.setdefault(key, set()).add(waiter)
        self.open += 1
        try:
            return await self._wait(job, waiter, time.monotonic() + seconds)
        finally:
            self.open -= 1
            waiters = self._waiters[key]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[key]

    def _waiter(self, job: JobRecord) -> _Waiter:
        if job.batch_id is not None:
            waiter = _Waiter()
            noticed = job.batch_id in self._recent
        else:
            noticed_rows = self._recent.get(job.job_id, 0)
            # Of a job that has begun, some notices may have come before this caller, and some after `job` was read.
            waiter = _Waiter(job.total - noticed_rows if job.rows_left == job.total else None)
            noticed = noticed_rows >= job.total
        if noticed:
            waiter.event.set()
        return waiter

    async def _wait(self, job: JobRecord, waiter: _Waiter, deadline: float) -> JobRecord:
        poll = _FIRST_POLL
        while not self._released and (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(poll, left)):
                    await waiter.event.wait()
            except TimeoutError:
                poll = min(_LONGEST_POLL, poll * 2)
            waiter.event.clear()
            waiter.rows_left = None  # what is noticed from here on may be read or not
            with contextlib.suppress(TimeoutError, DatabaseUnavailable):  # the caller asked for patience
                async with asyncio.timeout(max(deadline - time.monotonic(), _LAST_READ)):
                    job = await self._statuses.read(job.job_id, job.owner)
                waiter.rows_left = job.rows_left
            if job.status.is_terminal:
                break
        return job
