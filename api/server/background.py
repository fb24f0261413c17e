"""What the gateway does beside its calls."""

from __future__ import annotations

import asyncio
import contextlib
import time

from shared.logging import get_logger

log = get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before it is started again
_WELL_AGAIN_SECONDS = 60.0  # without a failure, after which it counts as well


class Background:
    """Something that runs in the event loop from its start to its stop. What it is, `run` says.

    It is not meant to end: where it does, or raises, that is logged and it is started again.
    """

    _task: asyncio.Task[None] | None = None
    _failed_at: float | None = None
    failures = 0  # since the start of the process

    async def run(self) -> None:
        """Run until cancelled."""
        raise NotImplementedError

    @property
    def is_well(self) -> bool:
        """Whether it has not failed lately."""
        return self._failed_at is None or time.monotonic() - self._failed_at > _WELL_AGAIN_SECONDS

    def start(self, name: str) -> None:
        """Begin; returns at once. `name` is what the log calls it."""
        self._task = asyncio.create_task(self._run_on(name), name=name)

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run_on(self, name: str) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self.run()
            except Exception as error:
                log.exception("background_task_failed", task=name, restart_seconds=pause, exc_info=error)
            else:
                log.error("background_task_ended", task=name, restart_seconds=pause)
            if self.is_well:
                pause = _FIRST_PAUSE
            self.failures += 1
            self._failed_at = time.monotonic()
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
