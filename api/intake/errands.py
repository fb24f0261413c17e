"""Errands: what a caller waits for and only a worker can do, because workers alone open sources and models."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from uuid import UUID

from api.http.problems import ERRAND_FAILED, NO_WORKER, Flaw, Problem
from api.server.database_threads import DatabaseThreads
from api.server.deadline import current
from shared.errands import Errand, read, submit, withdraw
from shared.errors import PredictqError
from shared.sentences import Sentence

_WAIT_SECONDS = 40.0  # a worker has 30 for what it does
_LATE = "No worker has done this in time. Is one running? See predictq doctor."
_LATE_BEGUN = "A worker has begun this and is not through with it. Ask again later, for less if that can be said."
_QUEUE_SECONDS = 10.0  # for which an errand may wait for a worker
_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.05, 0.25


class Errands:
    """Asks workers, and waits for them."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._withdrawing: set[asyncio.Future[None]] = set()

    async def run(self, kind: str, owner: str, arguments: dict[str, Any], *, seconds: float = _WAIT_SECONDS) -> Any:
        """What came of an errand, as its kind describes it.

        Raises Problem 422 with the worker's own words where it failed, and 503 where no worker has taken it, or it
        takes too long.
        """
        errand_id = await self._threads.write(lambda connection: submit(connection, kind, owner, arguments))
        try:
            with current().paused():
                errand = await self._ended(errand_id, seconds)
        except BaseException:
            self._withdraw(errand_id)
            raise
        result = errand.result or {}
        if errand.status == "failed":
            detail = str(result.get("detail", "The worker failed."))
            raise Problem(ERRAND_FAILED, detail, [Flaw("", str(result.get("code", "errand_failed")), detail)])
        return result

    async def _ended(self, errand_id: UUID, seconds: float) -> Errand:
        began = time.monotonic()
        pause = _FIRST_LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LOOK_SECONDS)
            errand = await self._threads.read(lambda connection: read(connection, errand_id))
            waited = time.monotonic() - began
            if errand is not None and errand.is_ended:
                return errand
            if errand is None or waited > seconds or (errand.status == "queued" and waited > _QUEUE_SECONDS):
                raise Problem(NO_WORKER, Sentence(_LATE_BEGUN if errand and errand.status == "running" else _LATE))

    def _withdraw(self, errand_id: UUID) -> None:
        """Take an errand back that nobody waits for any more, unless a worker has it; its caller does not wait."""
        task = asyncio.ensure_future(self._take_back(errand_id))
        self._withdrawing.add(task)
        task.add_done_callback(self._withdrawing.discard)

    async def _take_back(self, errand_id: UUID) -> None:
        with contextlib.suppress(PredictqError):  # then it is done for nobody, or forgotten in an hour
            await self._threads.write(lambda connection: withdraw(connection, errand_id))
