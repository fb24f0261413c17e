"""What the gateway does beside its calls."""

from __future__ import annotations

import asyncio
import contextlib


class Background:
    """Something that runs in the event loop from its start to its stop. What it is, `run` says."""

    _task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run until cancelled."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
