"""Reading the row accounting now and then, for the metrics."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict

from api.http.problems import Problem
from api.server.background import Background
from api.server.database_threads import DatabaseThreads
from shared.books import Books, read_books
from shared.db import autocommit
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger

log = get_logger(__name__)

_PAUSE_SECONDS = 30.0  # between two looks
_PAUSE_FACTOR = 100  # how much longer a pause is than the look before it: looks grow with the jobs ever accepted


class RowAccounting(Background):
    """Reads it in the background, in threads that allow for slow statements."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self.books: Books | None = None  # until the first look

    async def run(self) -> None:
        """Look again and again."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(DatabaseUnavailable, Problem):  # away, or busy: the next look will tell
                self.books = await self._threads.run_long(self._read)
                if self.books.imbalance:
                    log.error("books_do_not_balance", imbalance=self.books.imbalance, **asdict(self.books))
            await asyncio.sleep(max(_PAUSE_SECONDS, _PAUSE_FACTOR * (time.monotonic() - began)))

    def _read(self) -> Books:
        with autocommit(self._threads.engine) as connection:
            return read_books(connection)
