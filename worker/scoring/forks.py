"""A call in a fork of this process, which may hang or end: this process, and the model in it, stay."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # of prctl(2)


class ForkEnded(Exception):
    """A fork has given no answer; the words say why."""


def answer_of_fork(answer: Callable[[], bytes], seconds: float) -> bytes:
    """What `answer` returns in a fork, which is ended after `seconds`. Raises ForkEnded."""
    source, target = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        _answer_and_exit(answer, seconds, target)
    os.close(target)
    with os.fdopen(source, "rb") as pipe:
        data = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == -signal.SIGALRM:
        raise ForkEnded(f"the model did not answer within {seconds:g} s")
    if code or not data:
        raise ForkEnded(f"the model ended its process ({exit_words(code)})")
    return data


def exit_words(code: int) -> str:
    """How a process ended, by its status."""
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def die_with_parent() -> None:
    """Ask Linux to end this process with its parent: a model that hangs never sees that the pipe was closed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer_and_exit(answer: Callable[[], bytes], seconds: float, target: int) -> NoReturn:
    die_with_parent()
    # The kernel ends the fork then, whatever code it hangs in.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    data = answer()
    with os.fdopen(target, "wb") as pipe:
        pipe.write(data)
    os._exit(0)
