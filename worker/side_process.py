"""A process that a worker keeps beside its pool, such as the planner: started again when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from shared.logging import get_logger
from worker.scoring.forks import die_with_parent

log = get_logger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_STEADY_SECONDS = 60.0  # one that ran for so long was no false start
_STOP_SECONDS = 20.0  # for what is in hand to be given back


class SideProcess:
    """Keeps `python -m MODULE` running, in an interpreter of its own: a fork would carry the worker's models with it.

    `label` is what it is called in the log and by its `--name`, after the worker's node name.
    """

    def __init__(self, module: str, node: str, *, label: str) -> None:
        self._command = [sys.executable, "-m", module, "--name", f"{node}/{label}"]
        self._label = label
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        # Linux ends the process with the thread that started it: that thread lives as long as it should.
        self._thread = threading.Thread(target=self._run, name=f"{label}-process", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the process, which gives back what it has in hand; by force when it takes too long."""
        with self._starting:
            self._stopping.set()
            child = self._child
        if child is not None:
            child.terminate()
            self._thread.join(_STOP_SECONDS)
            child.kill()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            started = time.monotonic()
            status = self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            log.error("side process ended", process=self._label, status=status, again_after_seconds=pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _run_once(self) -> int | str:
        with self._starting:
            if self._stopping.is_set():
                return 0
            try:
                self._child = subprocess.Popen([*self._command, "--parent", str(os.getpid())], stdin=subprocess.DEVNULL)
            except OSError as error:  # no memory, no process: later, perhaps
                return str(error)
        return self._child.wait()


def end_with(parent: int, *, name: str) -> None:
    """Ask Linux to end this process with its parent. What is in hand is then claimed anew when its lease is over."""
    die_with_parent()
    if os.getppid() != parent:  # it ended before Linux was asked
        sys.exit(f"{name}: the worker that started it has ended")
