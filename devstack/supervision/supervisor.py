"""Keeps the programs of a stack running, and stops them in order whatever ends us."""

import signal
import threading
import time
from contextlib import ExitStack
from types import FrameType
from typing import Any, NoReturn, Self

from devstack.supervision.child import Child
from devstack.supervision.recovery import Event, OnEvent, WatchedChild

CHECK_SECONDS = 0.2
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(KeyboardInterrupt):
    """Raised in the main thread, wherever it is, by the first Ctrl-C, SIGTERM or SIGHUP."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        super().__init__(f"stopped by {number.name}")


def _untold(_name: str, _event: Event, _detail: str) -> None:
    """Whoever gives no callback wants no events."""


class Supervisor:
    """Starts children one by one, restarts those that crash, and stops all in reverse order.

    Used as a context manager: inside it the first stop signal raises `StopRequested`, so that it ends a migration or
    a training as well as the waiting; leaving it stops the children, and a further signal meanwhile does so by
    force. Catch `StopRequested` around the block to end without a traceback.
    `on_event(name, event, detail)` is called from the main thread and from the one that watches; it must not raise.
    """

    def __init__(self, on_event: OnEvent = _untold) -> None:
        """Nothing is started yet."""
        self._on_event = on_event
        self._children: list[WatchedChild] = []
        self._watcher: threading.Thread | None = None
        self._ended = threading.Event()
        self._stopping = False
        self._hurried = False
        self._handlers: dict[signal.Signals, Any] = {}

    def start(self, child: Child, timeout: float = 30.0) -> None:
        """Start a child, wait until it is ready, and keep it running from then on; `timeout` in seconds.

        Raises:
            ChildFailed: it did not come up; the message has the end of its log and the likely fix.

        """
        watched = WatchedChild(child, self._on_event)
        self._children.append(watched)  # first, so that a Ctrl-C in the middle leaves nothing behind
        watched.start(time.monotonic(), timeout)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._watcher.start()

    def run_until_signal(self) -> NoReturn:
        """Wait for a stop signal, which raises `StopRequested` here as it does anywhere in the `with` block."""
        while True:
            time.sleep(CHECK_SECONDS)  # not signal.pause(): a signal just ahead of it would go unnoticed

    def stop(self) -> None:
        """Stop all children, the last started first; twice is the same as once."""
        self._stopping = True
        self._ended.set()
        if self._watcher:
            self._watcher.join()
        with ExitStack() as stack:  # goes on with the others when one of them raises
            for watched in self._children:
                stack.callback(self._stop_child, watched)
            self._children = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._take_signals()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _take_signals(self) -> None:
        for number in STOP_SIGNALS:
            # nohup asks us to ignore the hang-up. A script's shell has SIGINT ignored behind `&`, but whoever sends
            # it to a running stack means it.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self._hurried = True
            return
        self._stopping = True
        raise StopRequested(signal.Signals(number))

    def _stop_child(self, watched: WatchedChild) -> None:
        watched.tell(Event.STOPPING)
        watched.process.stop(self._is_hurried)
        watched.tell(Event.STOPPED)

    def _is_hurried(self) -> bool:
        return self._hurried

    def _watch(self) -> None:
        while not self._ended.wait(CHECK_SECONDS):
            for watched in list(self._children):
                # Whatever goes wrong with one: nobody else looks after the others.
                try:
                    watched.check(time.monotonic())
                except Exception as error:  # noqa: BLE001 - told, once for as long as it is the same
                    watched.tell_trouble(f"{type(error).__name__}: {error}")
