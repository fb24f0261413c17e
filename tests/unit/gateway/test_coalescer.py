"""The coalescer: groups what arrives together, one flush at a time, and fails nobody for another's sake."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.server.coalescer import Coalescer


class TooLate(Exception):
    pass


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def make(executor: ThreadPoolExecutor) -> Callable[..., Coalescer[int, int]]:
    def build(flush: Callable[[Sequence[int]], Sequence[Any]], **options: Any) -> Coalescer[int, int]:
        options = {"max_items": 100, "patience_seconds": 30, "make_late_error": TooLate, **options}
        return Coalescer(flush, executor, **options)

    return build


Make = Callable[..., Coalescer[int, int]]


class Recorder:
    """Doubles numbers and remembers in which groups they came; the first flush waits until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()
        self.began = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        self.began.set()
        self.go.wait()
        return [2 * item for item in items]


async def busy(coalescer: Coalescer[int, int], recorder: Recorder) -> asyncio.Task[int]:
    """A first item, in the middle of its flush."""
    first = asyncio.create_task(coalescer.submit(0))
    await asyncio.to_thread(recorder.began.wait, 20)
    return first


def test_what_arrives_during_a_flush_is_flushed_together_next(make: Make) -> None:
    """Everybody gets their own answer, and the second flush holds all who waited."""
    recorder = Recorder()

    async def run() -> None:
        coalescer = make(recorder)
        first = await busy(coalescer, recorder)
        others = [asyncio.create_task(coalescer.submit(item)) for item in range(1, 21)]
        await asyncio.sleep(0)
        recorder.go.set()
        assert await asyncio.gather(first, *others) == [2 * item for item in range(21)]

    asyncio.run(run())
    assert recorder.groups == [[0], list(range(1, 21))]


def test_a_flush_takes_no_more_than_its_maximum(make: Make) -> None:
    """A crowd is cut into groups, in the order of arrival."""
    recorder = Recorder()
    recorder.go.set()

    async def run() -> None:
        coalescer = make(recorder, max_items=4, spacing=lambda _: 0.001)
        await asyncio.gather(*(coalescer.submit(item) for item in range(10)))

    asyncio.run(run())
    assert recorder.groups == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_flushes_keep_their_spacing_and_gather_company_in_it(make: Make) -> None:
    """The size of the last flush decides when the next may begin; a full one begins at once."""
    recorder = Recorder()
    recorder.go.set()

    async def run() -> None:
        coalescer = make(recorder, spacing=lambda size: 3600 if size > 1 else 0)
        async with asyncio.timeout(20):
            await coalescer.submit(1)
            await coalescer.submit(2)
        coalescer = make(recorder, spacing=lambda size: 0.2 if size == 10 else 0)
        await asyncio.gather(*(coalescer.submit(item) for item in range(10)))
        await asyncio.gather(coalescer.submit(10), later(coalescer, 11))

    async def later(coalescer: Coalescer[int, int], item: int) -> int:
        await asyncio.sleep(0.01)
        return await coalescer.submit(item)

    asyncio.run(run())
    assert recorder.groups == [[1], [2], list(range(10)), [10, 11]]


def test_a_failed_flush_fails_its_own_items_only(make: Make) -> None:
    """The next flush works, and an exception among the answers goes to its caller alone."""

    def flush(items: Sequence[int]) -> list[int | Exception]:
        if 13 in items:
            raise ArithmeticError
        return [ValueError(item) if item < 0 else item for item in items]

    async def run() -> None:
        coalescer = make(flush)
        answers = await asyncio.gather(coalescer.submit(13), coalescer.submit(1), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ArithmeticError, ArithmeticError]
        answers = await asyncio.gather(coalescer.submit(-1), coalescer.submit(1), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, int]

    asyncio.run(run())


def test_a_cancelled_caller_takes_its_item_back(make: Make) -> None:
    """An item whose caller has gone before its flush began is left out; during a flush the others are answered."""
    recorder = Recorder()

    async def run() -> None:
        coalescer = make(recorder)
        first = await busy(coalescer, recorder)
        gone = asyncio.create_task(coalescer.submit(1))
        kept = asyncio.create_task(coalescer.submit(2))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        await asyncio.sleep(0)
        recorder.go.set()
        assert await kept == 4
        await coalescer.drain()

    asyncio.run(run())
    assert recorder.groups == [[0], [2]]


def test_only_cancelled_items_make_no_flush(make: Make) -> None:
    """Where nobody is left, nothing is flushed."""
    recorder = Recorder()

    async def run() -> None:
        coalescer = make(recorder)
        first = await busy(coalescer, recorder)
        gone = asyncio.create_task(coalescer.submit(1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        recorder.go.set()
        await first
        await coalescer.drain()

    asyncio.run(run())
    assert recorder.groups == [[0]]


def test_a_flush_that_hangs_does_not_hang_its_callers(make: Make) -> None:
    """They and all who come later are told so; when the flush ends, the coalescer works again."""
    recorder = Recorder()

    async def run() -> None:
        coalescer = make(recorder, patience_seconds=0.05)
        first = await busy(coalescer, recorder)
        second = asyncio.create_task(coalescer.submit(1))
        for task in (first, second):
            with pytest.raises(TooLate):
                await task
        with pytest.raises(TooLate):
            await coalescer.submit(2)
        recorder.go.set()
        await coalescer.drain()
        assert await coalescer.submit(3) == 6

    asyncio.run(run())
    assert recorder.groups == [[0], [3]]


def test_company_is_waited_for_until_there_is_enough(make: Make) -> None:
    """With as many items as are enough a flush begins at once, however long the spacing is."""
    recorder = Recorder()
    recorder.go.set()

    async def run() -> list[int]:
        coalescer = make(recorder, spacing=lambda _: 3600.0, enough=lambda _: 3)
        coalescer._last_end = asyncio.get_running_loop().time()
        async with asyncio.timeout(20):
            return await asyncio.gather(*(coalescer.submit(number) for number in (1, 2, 3)))

    assert asyncio.run(run()) == [2, 4, 6]
    assert recorder.groups == [[1, 2, 3]]
