"""Letting work in only while there is room: for everybody together, and for each owner."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from api.access.caller import Caller
from api.server.background import Background
from api.server.database_clock import DatabaseClock
from api.server.database_threads import DatabaseThreads
from api.watch.outage_log import OutageLog
from shared.batches.sweep import Backlog, backlog, owner_backlog
from shared.config import Settings
from shared.errors import Backlogged, DatabaseUnavailable, JobTooLarge, QuotaExceeded
from shared.postgres.engine import autocommit
from shared.status import Queue

REFUSALS = (Backlogged, JobTooLarge, QuotaExceeded)

_SAMPLE_SECONDS = 1.0
_ALWAYS = 0.01  # of what may wait of all owners: so much of each may wait in any case


class Room:
    """Room for the rows of one job, kept free while the job is accepted."""

    def __init__(self, admission: Admission, caller: Caller) -> None:
        self._admission = admission
        self._caller = caller
        self._is_kept = False
        self.rows = 0

    def take(self, rows: int) -> None:
        """Reserve room for `rows`, in place of what was taken before. Raises what `Admission.check` does."""
        self._admission.move(self._caller, self, rows)

    def keep(self) -> None:
        """The job was accepted: its rows wait from now on."""
        self._is_kept = True

    def leave(self) -> None:
        """Give the room back, or leave it to the job that was accepted."""
        rows, self.rows = self.rows, 0
        self._admission.settle(self._caller.owner, rows, is_kept=self._is_kept)


class Admission(Background):
    """Knows how many rows wait: sampled once a second, plus what this process accepted since, or is accepting.

    The rows of a selection count as they are planned. The database's clock is read along the way. May be asked from any
    thread.
    """

    def __init__(
        self, settings: Settings, threads: DatabaseThreads, clock: DatabaseClock, outage_log: OutageLog
    ) -> None:
        self._threads = threads
        self._clock = clock
        self._outage_log = outage_log
        self._limit = settings.max_waiting_rows
        self._owner_limit = settings.owner_max_waiting_rows
        self._least_limit = self._owner_limit
        self._sampled: Counter[str] = Counter()
        self._since: Counter[str] = Counter()
        self._reserved: Counter[str] = Counter()
        self._reserved_rows = 0  # of all owners
        self._lock = threading.Lock()
        self._waiting = 0  # rows of all owners, sampled and since
        self.backlog: list[Backlog] = []

    def check(self, caller: Caller, rows: int) -> None:
        """Whether `rows` more may come in. Raises JobTooLarge, Backlogged or QuotaExceeded."""
        limit = caller.max_waiting_rows or self._owner_limit
        if rows > min(limit, self._limit):
            raise JobTooLarge(rows, min(limit, self._limit), caller.owner if limit <= self._limit else None)
        waiting = self._waiting + self._reserved_rows
        self._least_limit = min(self._least_limit, limit)
        of_owner = sum(counted[caller.owner] for counted in (self._sampled, self._since, self._reserved))
        # Two owners could fill the service. Whoever has little waiting is let in all the same.
        if waiting + rows > self._limit and of_owner + rows > self._limit * _ALWAYS:
            raise Backlogged(waiting, self._limit)
        if of_owner + rows > limit:
            raise QuotaExceeded(caller.owner, of_owner, limit)

    def add(self, owner: str, rows: int) -> None:
        """Count what was accepted until the next sample includes it."""
        self._outage_log.note_write()
        with self._lock:
            self._since[owner] += rows
            self._waiting += rows

    @contextlib.contextmanager
    def room(self, caller: Caller) -> Iterator[Room]:
        """Room for one job of `caller`: given back at the end of the block, unless it was kept."""
        room = Room(self, caller)
        try:
            yield room
        finally:
            room.leave()

    def move(self, caller: Caller, room: Room, rows: int) -> None:
        """Change what `room` reserves to `rows`; nothing changes where that is refused, as by `check`."""
        with self._lock:
            self._reserve(caller.owner, -room.rows)
            try:
                self.check(caller, rows)
                room.rows = rows
            finally:
                self._reserve(caller.owner, room.rows)

    def settle(self, owner: str, rows: int, *, is_kept: bool) -> None:
        """End a reservation of `rows`."""
        with self._lock:
            self._reserve(owner, -rows)
        if is_kept:
            self.add(owner, rows)

    def _reserve(self, owner: str, rows: int) -> None:
        self._reserved[owner] += rows
        self._reserved_rows += rows
        if not self._reserved[owner]:
            del self._reserved[owner]

    async def sample(self) -> None:
        """Ask the database what waits. Raises DatabaseUnavailable."""
        with self._lock:
            counted_before = self._since.copy()
        backlog, owners = await self._threads.run(self._query)
        with self._lock:
            self.backlog, self._sampled = backlog, Counter(owners)
            self._since -= counted_before
            self._waiting = sum(queue.waiting_rows for queue in backlog) + self._since.total()

    async def run(self) -> None:
        """Sample in the background."""
        while True:
            try:
                await self.sample()
            except DatabaseUnavailable as error:  # then nothing is accepted either
                self._outage_log.note(error)
            else:
                self._outage_log.note_success()
            await asyncio.sleep(_SAMPLE_SECONDS)

    def _query(self) -> tuple[list[Backlog], dict[str, int]]:
        with autocommit(self._threads.engine) as connection:
            self._clock.read(connection)
        queues = backlog(self._threads.engine)
        singles = sum(item.waiting_rows for item in queues if item.queue is Queue.INTERACTIVE)
        owners = owner_backlog(self._threads.engine, with_singles=False)
        if singles + max(owners.values(), default=0) >= self._least_limit:
            owners = owner_backlog(self._threads.engine, with_singles=True)
        return queues, owners
