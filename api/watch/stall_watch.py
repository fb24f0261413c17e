"""Looking every few seconds whether work stands still and the upkeep goes on, for /health and the metrics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from time import monotonic

from api.server.background import Background
from api.server.database_threads import DatabaseThreads
from shared.batches.stalls import Stall, read_stalls
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.storage.upkeep_state import DutyState, read_duties
from shared.watching.attention import NeedsPerson, read_failures

log = get_logger(__name__)

_PAUSE_SECONDS = 2.0  # between two looks
OLD_SECONDS = 30.0  # after which a look tells nothing any more: longer than two slow ones


class StallWatch(Background):
    """Tells when rows wait and none was answered for as long as the settings say."""

    def __init__(self, threads: DatabaseThreads, seconds: float) -> None:
        self._threads = threads
        self._seconds = seconds
        self._looked_at = monotonic()
        self.stalls: Sequence[Stall] = ()
        self.duties: Sequence[DutyState] = ()  # of the upkeep; none before it ran for the first time
        self.failing_batches: Sequence[NeedsPerson] = ()  # batches that fail, or that nobody can load

    @property
    def stalled_seconds(self) -> float:
        """For how long rows have waited in vain; 0 while work goes on."""
        return max((stall.seconds for stall in self.stalls), default=0.0)

    @property
    def age_seconds(self) -> float:
        """How long ago the last look was, or the start where there was none yet."""
        return monotonic() - self._looked_at

    async def run(self) -> None:
        """Look again and again."""
        while True:
            with contextlib.suppress(DatabaseUnavailable):  # which is said elsewhere
                found = await self._threads.read(lambda connection: read_stalls(connection, self._seconds))
                if found and not self.stalls:
                    log.error("work_stands_still", reasons=[stall.words for stall in found])
                elif self.stalls and not found:
                    log.warning("work_goes_on")
                self.stalls = found
                self.failing_batches = await self._threads.read(read_failures)
                self.duties = await self._threads.read(read_duties)
                self._looked_at = monotonic()
            await asyncio.sleep(_PAUSE_SECONDS)
