"""The live model's signature, remembered for a moment."""

from __future__ import annotations

import time
from collections.abc import Sequence

from api.server.coalescer import Coalescer
from api.server.database_threads import PATIENCE_SECONDS, DatabaseThreads, late, read_twice
from shared.models.registry import ModelVersion, live_model

_REMEMBER_SECONDS = 1.0


class LiveModel:
    """What features given in a call are checked against."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._known: ModelVersion | None = None
        self._until = 0.0
        self._reads: Coalescer[None, ModelVersion] = Coalescer(
            self._read, threads.executor, max_items=10_000, patience_seconds=PATIENCE_SECONDS, make_late_error=late
        )

    async def get(self) -> ModelVersion:
        """The live model, at most a second old. Raises NoLiveModel or DatabaseUnavailable."""
        if self._known is None or time.monotonic() >= self._until:
            self._known = await self._reads.submit(None)
            self._until = time.monotonic() + _REMEMBER_SECONDS
        return self._known

    def forget(self) -> None:
        """Ask again next time: another version was promoted."""
        self._known = None

    def _read(self, askers: Sequence[None]) -> list[ModelVersion]:
        return [read_twice(self._threads, live_model)] * len(askers)
