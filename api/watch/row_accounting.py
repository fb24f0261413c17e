"""Reading the row accounting now and then, for the metrics."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict

from api.http.problems import Problem
from api.server.background import Background
from api.server.database_threads import DatabaseThreads
from shared.batches.row_accounting import RowAccount, read_row_account
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.postgres.engine import autocommit

log = get_logger(__name__)

_PAUSE_SECONDS = 30.0  # between two looks
_PAUSE_FACTOR = 100  # how much longer a pause is than the look before it: looks grow with the jobs ever accepted


class RowAccounting(Background):
    """Reads it in the background, in threads that allow for slow statements."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self.row_account: RowAccount | None = None  # until the first look

    async def run(self) -> None:
        """Look again and again."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(DatabaseUnavailable, Problem):  # away, or busy: the next look will tell
                account = self.row_account = await self._threads.run_long(self._read)
                if account.imbalance:
                    log.error("row_accounting_does_not_add_up", imbalance=account.imbalance, **asdict(account))
            await asyncio.sleep(max(_PAUSE_SECONDS, _PAUSE_FACTOR * (time.monotonic() - began)))

    def _read(self) -> RowAccount:
        with autocommit(self._threads.engine) as connection:
            return read_row_account(connection)
