"""Processes that are frozen for a while, and thaw whatever becomes of the run: it may be killed meanwhile.

A frozen process acts on no signal but SIGCONT and SIGKILL, so it would never act on the one that tells it of its
parent's death. A guardian, a process of its own, hears of each process before it is frozen, and thaws what is frozen
when the run has gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import psutil

_FREEZE, _THAW = b"freeze", b"thaw"


class Freezer:
    """Use as a context manager; `frozen` is for use inside, from any thread."""

    def __enter__(self) -> Self:
        self._guardian = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for the run alone
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._guardian.communicate()

    @contextmanager
    def frozen(self, processes: Iterable[psutil.Process]) -> Iterator[None]:
        """SIGSTOP for the length of the block. Raises BrokenPipeError when there is no guardian any more."""
        victims = list(processes)
        self._tell(_FREEZE, victims)
        try:
            for process in victims:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in victims:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
            self._tell(_THAW, victims)

    def _tell(self, what: bytes, processes: Iterable[psutil.Process]) -> None:
        if self._guardian.stdin is None:
            raise RuntimeError("the guardian was started without a pipe")
        self._guardian.stdin.write(b"".join(b"%s %d\n" % (what, process.pid) for process in processes))
        self._guardian.stdin.flush()


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it, as far as they exist."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def guard(lines: Iterable[bytes]) -> None:
    """Read what is frozen and thawed until the other end closes the pipe, then thaw the rest."""
    frozen: set[int] = set()
    for line in lines:
        what, pid = line.split()
        (frozen.add if what == _FREEZE else frozen.discard)(int(pid))
    for number in frozen:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGCONT)


if __name__ == "__main__":
    guard(sys.stdin.buffer)
