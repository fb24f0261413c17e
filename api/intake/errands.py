"""Errands: what a caller waits for and only a worker can do, because workers alone open sources and models."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.access.caller import Caller
from api.access.caps import Cap
from api.access.long_calls import need_still_valid
from api.http.problems import ERRAND_FAILED, NO_WORKER, Flaw, Problem
from api.server.coalescer import Coalescer, each_alone
from api.server.database_threads import PATIENCE_SECONDS, DatabaseThreads, late, read_twice
from api.server.deadline import current
from shared.errands import Errand, read_all, submit, withdraw
from shared.errors import PredictqError
from shared.sentences import Sentence

_WAIT_SECONDS = 40.0  # a worker has 30 for what it does
_LATE = (
    "No worker has begun this in time. Is one running? See predictq doctor. If all are busy with other such calls, ask "
    "again later."
)
_LATE_BEGUN = "A worker has begun this and is not through with it. Ask again later, for less if that can be said."
_QUEUE_SECONDS = 10.0  # for which an errand may wait for a worker
_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.05, 0.25  # of one caller
_REST_SECONDS = 0.05  # between two looks for all: keys and statuses are looked up in the same threads
_MOST = 512  # errands in one look


class Errands:
    """Asks workers, and waits for them: a bounded number at a time, with one look at a time for all who wait."""

    def __init__(self, quick: DatabaseThreads, lists: DatabaseThreads, cap: Cap) -> None:
        """Looks are taken in `quick`, as those at statuses are; what each errand costs alone, in `lists`."""
        self._quick_threads = quick
        self._threads = lists
        self._cap = cap
        self._withdrawing: set[asyncio.Future[None]] = set()
        self._looks: Coalescer[UUID, Errand | None] = Coalescer(
            each_alone(self._look),
            quick.executor,
            max_items=_MOST,
            patience_seconds=PATIENCE_SECONDS,
            make_late_error=late,
            spacing=lambda _: _REST_SECONDS,
        )

    async def run(self, kind: str, caller: Caller, arguments: dict[str, Any], *, seconds: float = _WAIT_SECONDS) -> Any:
        """What came of an errand, as its kind describes it.

        Raises Problem 422 with the worker's own words where it failed, and 503 where no worker has taken it, or it
        takes too long; TooManyAtOnce, a 429; Unauthorised where the caller's key ended meanwhile.
        """
        with self._cap.place(caller):
            owner = caller.owner
            errand_id = await self._threads.write(lambda c: submit(c, kind, owner, arguments), owner=owner)
            try:
                with current().paused():
                    errand = await self._ended(errand_id, seconds)
            except BaseException:
                self._withdraw(errand_id, owner)
                raise
        await need_still_valid()
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
            errand = await self._looks.submit(errand_id)
            waited = time.monotonic() - began
            if errand is not None and errand.is_ended:
                return errand
            if errand is None or waited > seconds or (errand.status == "queued" and waited > _QUEUE_SECONDS):
                raise Problem(NO_WORKER, Sentence(_LATE_BEGUN if errand and errand.status == "running" else _LATE))

    def _look(self, errand_ids: Sequence[UUID]) -> list[Errand | None]:
        found = read_twice(self._quick_threads, lambda connection: read_all(connection, errand_ids))
        return [found.get(errand_id) for errand_id in errand_ids]

    def _withdraw(self, errand_id: UUID, owner: str) -> None:
        """Take an errand back that nobody waits for any more, unless a worker has it; its caller does not wait."""
        task = asyncio.ensure_future(self._take_back(errand_id, owner))
        self._withdrawing.add(task)
        task.add_done_callback(self._withdrawing.discard)

    async def _take_back(self, errand_id: UUID, owner: str) -> None:
        with contextlib.suppress(PredictqError):  # then it is done for nobody, or forgotten in an hour
            await self._threads.write(lambda connection: withdraw(connection, errand_id), owner=owner)
