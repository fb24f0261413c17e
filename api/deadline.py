"""One deadline per call: however many questions an answer takes, its caller hears something within five seconds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from api.database import late
from shared.errors import DatabaseUnavailable

ANSWER_SECONDS = 4.5  # from the arrival of a call until it is given up


class Deadline:
    """Ends the block that it is entered for by raising what `make_error` makes, and is `current()` inside.

    The block is cancelled wherever it waits, as `asyncio.timeout` does it; moving the end costs no timer, because the
    one that runs looks at it when it rings. One that was never entered never ends anything.
    """

    def __init__(self, seconds: float = ANSWER_SECONDS) -> None:
        self._seconds = seconds
        self._end = math.inf
        self._has_passed = False
        self.make_error: Callable[[], DatabaseUnavailable] = late

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task that it can end")
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(self._end, self._ring)
        self._token = _current.set(self)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self.lift()
        self._timer.cancel()
        _current.reset(self._token)
        if self._has_passed and self._task.uncancel() <= self._cancelling and type(error) is asyncio.CancelledError:
            raise self.make_error() from error

    def lift(self) -> None:
        """No deadline any more: the answer has begun."""
        self._end = math.inf

    def extend(self, seconds: float) -> None:
        """Later by `seconds`, which the caller asked to wait."""
        self._end += seconds

    def at_least(self, seconds: float) -> None:
        """Not before `seconds` from now: there was a sign of life."""
        self._end = max(self._end, asyncio.get_running_loop().time() + seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Not while the service waits for its caller."""
        time = asyncio.get_running_loop().time
        left = self._end - time()
        self._end = math.inf
        try:
            yield
        finally:
            self._end = time() + left

    def _ring(self) -> None:
        now = self._loop.time()
        if now < self._end:
            self._timer = self._loop.call_at(min(self._end, now + self._seconds), self._ring)
        else:
            self._has_passed = True
            self._task.cancel()


_current: ContextVar[Deadline] = ContextVar("deadline")


def current() -> Deadline:
    """The deadline of the call that is being answered; outside of calls, one that does nothing."""
    return _current.get(None) or Deadline()
