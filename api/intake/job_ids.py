"""Ids of new jobs: UUIDv7 by the database's clock, because jobs are partitioned by the week that their ids say."""

from __future__ import annotations

import secrets
from uuid import UUID

from api.server.database_clock import DatabaseClock
from api.server.database_threads import DatabaseThreads

_TICKS_PER_SECOND = 4096 * 1000  # a UUIDv7 has milliseconds, and twelve bits that may divide them (RFC 9562, 6.2)
_LONGEST_LEAD = 60 * _TICKS_PER_SECOND  # that ids may run ahead of a clock that was set back


class JobIds:
    """Makes ids that rise from one to the next. To be used in the event loop alone."""

    def __init__(self, clock: DatabaseClock, threads: DatabaseThreads) -> None:
        self._clock = clock
        self._threads = threads
        self._last = 0  # ticks since 1970

    async def new(self) -> UUID:
        """An id of this moment. Raises DatabaseUnavailable where the database's clock was never read."""
        if not self._clock.is_known:
            await self._threads.read(self._clock.read)
        now = int(self._clock.now() * _TICKS_PER_SECOND)
        is_far_ahead = self._last - now > _LONGEST_LEAD  # then to go on rising would miss the partitions of today
        self._last = now if is_far_ahead else max(now, self._last + 1)
        return uuid7_of(self._last)


def uuid7_of(tick: int) -> UUID:
    """A UUIDv7 of a moment, in ticks of 1/4096 ms since 1970; the other 62 bits are random."""
    milliseconds, fraction = divmod(tick, 4096)
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62))
