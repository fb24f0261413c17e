"""How a run is told to stop: whatever waits stops waiting, and every thread leaves in good order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_told = threading.Event()


class Stopped(BaseException):
    """Raised where the run waits; not an Exception, because no work may take it for a failure of its own."""


def take_signals() -> None:
    """From now on the first Ctrl-C, SIGTERM or SIGHUP heals and ends everything; the next one ends this process."""
    for number in _SIGNALS:
        signal.signal(number, _on_signal)


def pause(seconds: float) -> None:
    """Sleep. Raises Stopped as soon as the run is told to stop."""
    if _told.wait(seconds):
        raise Stopped


def _on_signal(number: int, _frame: FrameType | None) -> None:
    if _told.is_set():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _told.set()
    os.write(sys.stderr.fileno(), b"stopping; once more to leave at once\n")  # print is not for signal handlers
