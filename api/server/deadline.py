"""One deadline per call: however many questions an answer takes, its caller hears something within five seconds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from api.server.database_threads import late
from shared.errors import DatabaseUnavailable

ANSWER_SECONDS = 4.5  # from the arrival of a call until it is given up
_TICK_SECONDS = 0.1  # between two looks at the open deadlines


class Deadline:
    """Ends the block that it is entered for by raising what `make_error` makes, and is `current()` inside.

    The block is cancelled wherever it waits, as `asyncio.timeout` does it, at most a tenth of a second late. One that
    was never entered never ends anything.
    """

    def __init__(self, seconds: float = ANSWER_SECONDS) -> None:
        self._seconds = seconds
        self.end = math.inf  # by time.monotonic()
        self._has_passed = False
        self.make_error: Callable[[], DatabaseUnavailable] = late

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task that it can end")
        self._task = task
        self._cancelling = task.cancelling()
        self.end = monotonic() + self._seconds
        self._watch = _watch_of(asyncio.get_running_loop())
        self._watch.add(self)
        self._token = _current.set(self)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self.lift()
        self._watch.remove(self)
        _current.reset(self._token)
        if self._has_passed and self._task.uncancel() <= self._cancelling and type(error) is asyncio.CancelledError:
            raise self.make_error() from error

    def lift(self) -> None:
        """No deadline any more: the answer has begun."""
        self.end = math.inf

    def extend(self, seconds: float) -> None:
        """Later by `seconds`, which the caller asked to wait."""
        self.end += seconds

    def at_least(self, seconds: float) -> None:
        """Not before `seconds` from now: there was a sign of life."""
        self.end = max(self.end, monotonic() + seconds)

    def paused(self) -> _Pause:
        """A block in which it does not come: the service waits for its caller there."""
        return _Pause(self)

    def end_if_passed(self, now: float) -> None:
        """Cancel the task, once, when the end lies before `now`, of time.monotonic()."""
        if now >= self.end:
            self.lift()
            self._has_passed = True
            self._task.cancel()


class _Pause:
    __slots__ = ("_deadline", "_left")

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __enter__(self) -> None:
        self._left = self._deadline.end - monotonic()
        self._deadline.end = math.inf

    def __exit__(self, *_: object) -> None:
        self._deadline.end = monotonic() + self._left


class _Watch:
    """Looks at all open deadlines of an event loop now and then: a timer for each cost more than all the rest of it."""

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._is_ticking = False

    def add(self, deadline: Deadline) -> None:
        self._open.add(deadline)
        if not self._is_ticking:
            self._is_ticking = True
            asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def remove(self, deadline: Deadline) -> None:
        self._open.discard(deadline)

    def _tick(self) -> None:
        now = monotonic()
        for deadline in tuple(self._open):
            deadline.end_if_passed(now)
        self._is_ticking = bool(self._open)
        if self._is_ticking:
            asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


_latest: tuple[asyncio.AbstractEventLoop | None, _Watch] = (None, _Watch())  # a process has one loop, but in tests


def _watch_of(loop: asyncio.AbstractEventLoop) -> _Watch:
    global _latest
    known, watch = _latest
    if known is not loop:
        watch = _watches.setdefault(loop, _Watch())
        _latest = loop, watch
    return watch


_current: ContextVar[Deadline] = ContextVar("deadline")


def current() -> Deadline:
    """The deadline of the call that is being answered; outside of calls, one that does nothing."""
    return _current.get(None) or Deadline()
