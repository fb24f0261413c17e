"""A gateway as a process, and what can be seen of it from outside: memory, connections, the stalls of its loop."""

from __future__ import annotations

import mmap
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

import psutil

from devstack.servers.ports import free_port
from shared.config import Settings
from tests.hostile.loop_watch import LAYOUT
from tests.support import ROOT, environment, stop, wait_until


class WatchedGateway:
    """Started and stopped as a context manager."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._log_path = directory / "gateway.log"
        self._shared = directory / "loop"
        self.port = free_port()

    def __enter__(self) -> Self:
        self._shared.write_bytes(bytes(LAYOUT.size))
        with self._shared.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size)
        command = [sys.executable, "-m", "tests.hostile.loop_watch", str(self._shared), "--port", str(self.port)]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment(self._settings), stdout=log, stderr=log)
        self.process = psutil.Process(self._process.pid)
        wait_until(self._is_ready, seconds=240, what=f"the gateway answers; see {self._log_path}")
        return self

    def __exit__(self, *_: object) -> None:
        stop(self._process)

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(self._log_path.read_text())
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @property
    def is_alive(self) -> bool:
        """Whether it is the process that it was."""
        return self._process.poll() is None

    def reset(self) -> None:
        """Begin to measure anew."""
        LAYOUT.pack_into(self._memory, 0, 0.0, 0.0, 0.0, 0.0)
        self._reset_peak()

    def longest_stall(self) -> float:
        """Seconds since the last reset for which the loop stood still on its own account."""
        return float(LAYOUT.unpack_from(self._memory)[0])

    def longest_lateness(self) -> float:
        """The same by the wall clock: with the time for which the process had no core."""
        return float(LAYOUT.unpack_from(self._memory)[1])

    def peak_memory(self) -> int:
        """Bytes: the most resident memory since the last reset, where the system tells; else what it has now."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return int(self.process.memory_info().rss)
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def _reset_peak(self) -> None:
        try:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        except OSError:
            return

    def connections(self) -> int:
        """How many callers are connected."""
        return sum(
            item.status == psutil.CONN_ESTABLISHED and item.laddr.port == self.port
            for item in self.process.net_connections("tcp")
            if item.laddr
        )

    def settle(self, at_most: int, *, seconds: float = 5.0) -> int:
        """How many connections are left when callers have hung up: waits until there are no more than `at_most`."""
        end = time.monotonic() + seconds
        while (left := self.connections()) > at_most and time.monotonic() < end:
            time.sleep(0.02)
        return left
