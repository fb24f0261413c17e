"""Group work: what arrives while one flush runs is flushed together next."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from shared.errors import DatabaseUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_AT_ONCE = 64  # callers that are woken in one turn of the event loop


def at_once(_: int) -> float:
    """The spacing of flushes that need no company."""
    return 0.0


def no_end(_: int) -> float:
    """How many are enough where only the spacing ends a wait."""
    return math.inf


def each_alone(
    flush: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
) -> Callable[[Sequence[Item]], Sequence[Answer | Exception]]:
    """`flush` for reads: one item that makes it raise fails alone. An outage is everybody's."""

    def flush_each(items: Sequence[Item]) -> Sequence[Answer | Exception]:
        try:
            return flush(items)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, to the caller whose item it is
            return [error] if len(items) == 1 else [answer for item in items for answer in flush_each([item])]

    return flush_each


class Coalescer(Generic[Item, Answer]):
    """Collects the items of concurrent callers and hands them to `flush` in groups, one group at a time.

    `flush(items)` runs in `executor` and returns one answer per item, in order; an answer that is an exception is
    raised to its caller. When `flush` raises, only the items of that flush fail. `spacing` is told how many items the
    last flush had, and says how many seconds after it the next one may begin: what arrives until then keeps it
    company. `enough` is told the same, and says how many items need not wait for more.

    A flush that has not answered after `patience_seconds` fails its callers, and everybody who asks until it
    answers, with `make_late_error()`: the thread goes on, the callers need not.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        executor: Executor,
        *,
        max_items: int,
        patience_seconds: float,
        make_late_error: Callable[[], Exception],
        spacing: Callable[[int], float] = at_once,
        enough: Callable[[int], float] = no_end,
    ) -> None:
        self._flush = flush
        self._executor = executor
        self._max_items = max_items
        self._spacing = spacing
        self._enough = enough
        self._has_enough: asyncio.Future[None] | None = None  # while company is waited for
        self._patience = patience_seconds
        self._make_late_error = make_late_error
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None
        self._is_late = False
        self._last_size = 0
        self._last_end = -math.inf  # by the loop's clock

    async def submit(self, item: Item) -> Answer:
        """The answer for `item`. A caller that is cancelled before its flush began takes the item back."""
        if self._is_late:
            raise self._make_late_error()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._has_enough is not None and len(self._waiting) >= self._enough(self._last_size):
            self._stop_waiting(self._has_enough)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def drain(self) -> None:
        """Return when nothing is waiting or being flushed."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < self._max_items:
                    await self._wait_for_company()
                self._last_size = await self._flush_next()
                self._last_end = asyncio.get_running_loop().time()
        finally:
            self._task = None

    async def _wait_for_company(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._last_end + self._spacing(self._last_size) - loop.time()
        if left <= 0 or len(self._waiting) >= self._enough(self._last_size):
            return
        self._has_enough = loop.create_future()
        alarm = loop.call_later(left, self._stop_waiting, self._has_enough)
        try:
            await self._has_enough
        finally:
            alarm.cancel()
            self._has_enough = None

    @staticmethod
    def _stop_waiting(has_enough: asyncio.Future[None]) -> None:
        if not has_enough.done():
            has_enough.set_result(None)

    async def _flush_next(self) -> int:
        taken, self._waiting = self._waiting[: self._max_items], self._waiting[self._max_items :]
        group = [pair for pair in taken if not pair[1].done()]
        if not group:
            return 0
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(self._patience, self._give_up, group)
        try:
            answers = await loop.run_in_executor(self._executor, self._flush, [item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - raised again, to each caller
            self._fail(group, error)
        else:
            for number, ((_, future), answer) in enumerate(zip(group, answers, strict=True), 1):
                _settle(future, answer)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)  # each caller that is woken has an answer to write
        finally:
            alarm.cancel()
            self._is_late = False
        return len(group)

    def _give_up(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        self._is_late = True
        late, self._waiting = self._waiting, []
        self._fail(group + late, self._make_late_error())

    @staticmethod
    def _fail(group: list[tuple[Item, asyncio.Future[Answer]]], error: Exception) -> None:
        for _, future in group:
            _settle(future, error)


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():  # the caller has gone
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
