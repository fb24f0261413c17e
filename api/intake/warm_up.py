"""Before a version goes live: whether any worker can load it, and loading it, so that no call waits for that."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.caps import Cap
from api.access.long_calls import need_still_valid
from api.server.database_threads import DatabaseThreads
from api.server.deadline import current
from api.server.shared_tasks import SharedTasks
from shared.errors import ModelRefused
from shared.models import warm_up
from shared.models.registry import ModelVersion
from shared.watching.workers import Worker, living_workers, why_nobody

_LOOK_SECONDS = 0.2
_SILENT_SECONDS = 10.0  # without a word of any process: all are busy, or Redis is away
_MOST_SECONDS = 20.0  # for loading; who has not by then loads it with the first batch


class WarmUps:
    """Has versions loaded, and waits for it for a while: once for all who want the same version live."""

    def __init__(self, threads: DatabaseThreads, cap: Cap) -> None:
        self._threads = threads
        self._cap = cap
        self._loading = SharedTasks[int, None]()

    async def run(self, version: ModelVersion, caller: Caller) -> None:
        """Return when the processes of all workers hold the version, or will not soon; at once where no worker runs.

        Raises ModelRefused where workers run and none can load it, with what lacks, and where all that tried failed;
        TooManyAtOnce, a 429; Unauthorised where the caller's key ended meanwhile.
        """
        with self._cap.place(caller), current().paused():
            await self._loading.ask(version.id, lambda: self._load(version))
        await need_still_valid()

    async def _load(self, version: ModelVersion) -> None:
        able = await self._threads.read(lambda connection: require_able(connection, version))
        processes = sum(worker.processes for worker in able)
        if not processes:
            return
        await self._threads.write(lambda connection: warm_up.ask(connection, version.id))
        try:
            await self._wait(version, processes)
        finally:
            await self._threads.write(lambda connection: warm_up.end(connection, version.id))

    async def _wait(self, version: ModelVersion, processes: int) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            found = await self._threads.read(lambda connection: warm_up.progress(connection, version.id))
            waited = time.monotonic() - began
            # What has only failed does not go live, though somebody be at it once more.
            if found.errors and not found.loaded and (not found.loading or waited > _MOST_SECONDS):
                raise ModelRefused(f"No process that tried could load {version.label}: {found.errors[0]}")
            is_silent = not (found.loaded or found.loading) and waited > _SILENT_SECONDS
            if found.loaded + len(found.errors) >= processes or is_silent or waited > _MOST_SECONDS:
                return


def require_able(connection: Connection, version: ModelVersion) -> list[Worker]:
    """The living workers that can load a version. Raises ModelRefused where there are some, and none can."""
    workers = living_workers(connection)
    why = why_nobody(workers, version.model, version.requirements)
    if why is not None:
        raise ModelRefused(
            f"No worker that runs can load {version.label}: {why}. Start one that can (predictq models environment "
            f"{version.label} writes what it needs), or promote with --force and a reason."
        )
    return [worker for worker in workers if not worker.lacks(version.model, version.requirements)]
