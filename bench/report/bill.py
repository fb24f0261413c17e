"""Who used the processors, and how much memory: by group of processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

Groups = Mapping[str, list[psutil.Process]]


@dataclass(slots=True)
class Bill:
    """CPU seconds by group, over the time of the block."""

    seconds: dict[str, float] = field(default_factory=dict)

    def per(self, count: int) -> dict[str, float]:
        """CPU microseconds by group for each of `count` things."""
        return {name: round(value / count * 1e6, 1) for name, value in self.seconds.items()}


@contextmanager
def billing(groups: Groups) -> Iterator[Bill]:
    """CPU time of `groups` with their children, and of this process as `load`, until the block ends."""
    bill = Bill()
    before = {name: _times(processes) for name, processes in groups.items()}
    own = psutil.Process().cpu_times()
    yield bill
    now = psutil.Process().cpu_times()
    bill.seconds["load"] = now.user + now.system - own.user - own.system
    for name, processes in groups.items():
        after = _times(processes)
        bill.seconds[name] = sum(value - before[name].get(pid, 0.0) for pid, value in after.items())


def _times(processes: list[psutil.Process]) -> dict[int, float]:
    times = {}
    for process in _with_children(processes):
        try:
            used = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        times[process.pid] = used.user + used.system
    return times


def _with_children(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def proportional_megabytes(process: psutil.Process) -> float:
    """PSS: memory of the process, what it shares divided among those who share it."""
    return float(process.memory_full_info().pss) / 1e6


def added_megabytes(process: psutil.Process) -> float:
    """What the process adds to the sum of all PSS: the pages that nobody shares with it."""
    return float(process.memory_full_info().uss) / 1e6
