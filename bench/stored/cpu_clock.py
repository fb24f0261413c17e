"""How long processes were on a processor, in nanoseconds: what a call costs whoever else uses the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil


class CpuClock:
    """Reads the scheduler's account of all threads of some processes. Linux only; elsewhere it stands still."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._files = [file for process in processes for file in _accounts(process)]

    def seconds(self) -> float:
        """CPU seconds of all of them so far."""
        return sum(_nanoseconds(file) for file in self._files) / 1e9


def _accounts(process: psutil.Process) -> list[Path]:
    return sorted(Path(f"/proc/{process.pid}/task").glob("*/schedstat"))


def _nanoseconds(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii").split()[0])
    except (OSError, IndexError):  # the thread has ended
        return 0
