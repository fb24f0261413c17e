"""Work that many callers ask for at a time, and that is done once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class SharedTasks(Generic[Key, Answer]):
    """What is under way, by what it is about."""

    def __init__(self) -> None:
        self._open: dict[Key, asyncio.Task[Answer]] = {}

    async def ask(self, key: Key, work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """What `work` returns, or raises. A caller that goes away does not take it from the others."""
        return await asyncio.shield(self.begin(key, work))

    def begin(self, key: Key, work: Callable[[], Coroutine[Any, Any, Answer]]) -> asyncio.Task[Answer]:
        """The task that does it: begun unless it is under way."""
        task = self._open.get(key)
        if task is None:
            task = self._open[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: Key, task: asyncio.Task[Answer]) -> None:
        del self._open[key]
        if not task.cancelled():
            task.exception()  # whoever waits is told; when nobody does, the next caller asks again
