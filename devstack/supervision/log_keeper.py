"""The process that writes the log of one child, started again where it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from devstack.supervision import keep_log

LOG_LIMIT_BYTES = 10_000_000  # of each of two files: the log, and the one before it
LONGEST_LINE = 16_384  # bytes
LOG_SECONDS = 2.0  # for the log to be written to its end once its program has ended
PAUSE_SECONDS = 5.0  # between two starts


class LogKeeper:
    """Runs `keep_log` over a pipe. The reading end stays open here, so that another process can go on with it."""

    def __init__(self, path: Path) -> None:
        """Start it. `writing` is the end of the pipe that the child gets; whoever hands it on closes it."""
        self._path = path
        self._reading, self.writing = os.pipe()
        try:
            self._process = self._start()
        except BaseException:
            os.close(self._reading)
            os.close(self.writing)
            raise

    def check(self) -> None:
        """Start it again where it has died. While there is none, its child waits once the pipe is full.

        Status 0: nobody can write any more. Raises OSError.
        """
        if self._process.poll() and time.monotonic() - self._started_at >= PAUSE_SECONDS:
            self._process = self._start()

    def end(self) -> None:
        """Wait until what an ended child has said is written; by force where somebody still can write."""
        os.close(self._reading)
        try:
            self._process.wait(LOG_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_at = time.monotonic()
        program = [sys.executable, "-I", "-S", keep_log.__file__, str(self._path)]
        return subprocess.Popen(
            [*program, str(LOG_LIMIT_BYTES), str(LONGEST_LINE)],
            env={},
            stdin=self._reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
