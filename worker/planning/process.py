"""The planner as the worker program sees it: a process beside its pool, started again when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from shared.logging import get_logger

log = get_logger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_STEADY_SECONDS = 60.0  # one that ran for so long was no false start
_STOP_SECONDS = 20.0  # for the plan in hand to be given back


class PlannerProcess:
    """Keeps one planner running, in an interpreter of its own: a fork would carry the worker's models with it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        # Linux ends the planner with the thread that started it: that thread lives as long as it should.
        self._thread = threading.Thread(target=self._run, name="planner-process", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the planner, which gives back what it has in hand; by force when it takes too long."""
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
            log.error("planner ended", status=status, again_after_seconds=pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _run_once(self) -> int | str:
        command = [sys.executable, "-m", "worker.planning", "--name", f"{self._node}/planner"]
        with self._starting:
            if self._stopping.is_set():
                return 0
            try:
                self._child = subprocess.Popen([*command, "--parent", str(os.getpid())], stdin=subprocess.DEVNULL)
            except OSError as error:  # no memory, no process: later, perhaps
                return str(error)
        return self._child.wait()
