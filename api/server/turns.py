"""Heavy work on the event loop: a step in each of its turns, API keys in turns, and no more at a time than fits."""

from __future__ import annotations

import asyncio
import gc
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

Answer = TypeVar("Answer")

_ROOMS = 2  # large bodies that are held in memory at a time


class Turns:
    """A step costs a millisecond or two. However many callers have some, others are served between any two."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # by API key, the next one first
        self._is_calling = False
        self._rooms = asyncio.Semaphore(_ROOMS)
        self._rooms_of_keys: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, steps: Generator[object, None, Answer], key: str) -> Answer:
        """Go through `steps`, one at each turn of `key`. Returns what they return."""
        while True:
            await self.next(key)
            # What a step makes, a text of ten thousand nested lists, say, would set off a collection of all objects.
            gc.disable()
            try:
                next(steps)
            except StopIteration as end:
                answer: Answer = end.value
                return answer
            finally:
                gc.enable()

    async def next(self, key: str) -> None:
        """Return when it is the turn of `key`."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        if not self._is_calling:
            self._is_calling = True
            loop.call_soon(self._call_next)
        await turn

    @asynccontextmanager
    async def room(self, key: str) -> AsyncIterator[None]:
        """A block that holds megabytes: few at a time, of one key one after the other."""
        of_key = self._rooms_of_keys.get(key)
        if of_key is None:
            of_key = self._rooms_of_keys[key] = asyncio.Semaphore(1)
        async with of_key, self._rooms:
            yield

    def _call_next(self) -> None:
        while self._waiting:
            key, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns  # at the end: after all others
            if not turn.done():
                turn.set_result(None)
                break
        self._is_calling = bool(self._waiting)
        if self._is_calling:
            asyncio.get_running_loop().call_soon(self._call_next)
