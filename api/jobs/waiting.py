"""Callers that wait for a job: woken by notices, and by a poll that slows down, because a notice may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.requests import ClientDisconnect

from api.jobs.statuses import Statuses
from api.server.deadline import current
from shared.errors import DatabaseUnavailable
from shared.jobs.records import JobRecord
from shared.messaging.messages import Notice

HasLeft = Callable[[], Awaitable[bool]]

_FIRST_POLL, _LONGEST_POLL = 0.25, 2.0  # seconds
_LAST_READ = 0.5  # seconds for the read after the wait
_REST = 0.1  # seconds between two reads of a job whose rows are still counted: each of its batches sends a notice
_REMEMBERED = 10_000  # notices kept for callers who begin to wait just after theirs came


class _Waiter:
    """One caller. `rows_left` are those of a bulk job that nobody has noticed to be done; None: not known."""

    def __init__(self, rows_left: int | None, *, is_counting: bool) -> None:
        self.event = asyncio.Event()
        self.rows_left = rows_left
        self._is_counting = is_counting  # whether the rows of the job are not all known yet
        self._alarm: asyncio.TimerHandle | None = None

    def has_read(self, job: JobRecord) -> None:
        """Count on from here: the job was read just now."""
        self.rows_left = job.rows_left
        self._is_counting = job.total is None

    def take(self, rows: int | None) -> None:
        """Wake up, unless the job cannot be over yet: a read for each batch of a bulk job would be felt."""
        if rows is not None and self._is_counting:
            self._wake_soon()
            return
        if rows is not None and self.rows_left is not None:
            self.rows_left -= rows
            if self.rows_left > 0:
                return
        self.event.set()

    def leave(self) -> None:
        """Nobody waits any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _wake_soon(self) -> None:
        """Wake up once for all notices of a while, because nobody can say which is the last."""
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(_REST, self._wake)

    def _wake(self) -> None:
        self._alarm = None
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

    async def wait(self, job: JobRecord, seconds: float, has_left: HasLeft | None = None) -> JobRecord:
        """The job as soon as it can no longer change, or as it stands after `seconds`, or stood when last read.

        `has_left` says whether the caller has hung up; then ClientDisconnect is raised.
        """
        if job.status.is_terminal or seconds <= 0:
            return job
        current().extend(seconds)
        waiter = self._waiter(job)
        key = job.job_id if job.batch_id is None else job.batch_id
        self._waiters.setdefault(key, set()).add(waiter)
        self.open += 1
        try:
            return await self._wait(job, waiter, time.monotonic() + seconds, has_left)
        finally:
            self.open -= 1
            waiter.leave()
            waiters = self._waiters[key]
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[key]

    def _waiter(self, job: JobRecord) -> _Waiter:
        noticed_rows = self._recent.get(job.job_id, 0)
        if job.batch_id is not None:
            waiter = _Waiter(None, is_counting=False)
            noticed = job.batch_id in self._recent
        elif job.total is None:
            waiter = _Waiter(None, is_counting=True)
            noticed = job.job_id in self._recent
        else:
            # Of a job that has begun, some notices may have come before this caller, and some after `job` was read.
            waiter = _Waiter(job.total - noticed_rows if job.rows_left == job.total else None, is_counting=False)
            noticed = noticed_rows >= job.total
        if noticed:
            waiter.event.set()
        return waiter

    async def _wait(self, job: JobRecord, waiter: _Waiter, deadline: float, has_left: HasLeft | None) -> JobRecord:
        poll = _FIRST_POLL
        while not self._released and (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(poll, left)):
                    await waiter.event.wait()
            except TimeoutError:
                poll = min(_LONGEST_POLL, poll * 2)
                # Asked only here: most waits end before, and a task for each that listens for the end would be felt.
                if has_left is not None and await has_left():
                    raise ClientDisconnect from None
            waiter.event.clear()
            waiter.rows_left = None  # what is noticed from here on may be read or not
            with contextlib.suppress(TimeoutError, DatabaseUnavailable):  # the caller asked for patience
                async with asyncio.timeout(max(deadline - time.monotonic(), _LAST_READ)):
                    job = await self._statuses.again(job)
                waiter.has_read(job)
            if job.status.is_terminal:
                break
        return job
