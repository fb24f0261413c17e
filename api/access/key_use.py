"""When API keys were used last: written now and then, for all keys that were in use meanwhile."""

from __future__ import annotations

import asyncio
import contextlib

from api.access.auth import Auth
from api.server.background import Background
from api.server.database_threads import DatabaseThreads
from shared.access.api_keys import note_use
from shared.errors import DatabaseUnavailable

_PAUSE_SECONDS = 60.0


class KeyUse(Background):
    """Notes it in the background, so that no call waits for it."""

    def __init__(self, auth: Auth, threads: DatabaseThreads, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._auth = auth
        self._threads = threads
        self._pause_seconds = pause_seconds

    async def run(self) -> None:
        """Write again and again. What is lost while PostgreSQL is away is noted at the next use."""
        while True:
            await asyncio.sleep(self._pause_seconds)
            with contextlib.suppress(DatabaseUnavailable):
                await self.write()

    async def write(self) -> None:
        """Note the keys that were used since the last time. Raises DatabaseUnavailable."""
        if used := self._auth.take_used():
            await self._threads.write(lambda connection: note_use(connection, used))
