"""One measured thing beside its goal, and the table of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bench.stored.cpu_clock import CpuClock


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` against `goal`, both in `unit`. `beside` holds what explains it: medians, CPU, counts."""

    words: str
    value: float
    unit: str
    goal: float
    higher_is_better: bool = False
    beside: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether the goal is met."""
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal

    def to_json(self) -> dict[str, Any]:
        """As a JSON document."""
        return {**asdict(self), "is_met": self.is_met}

    def line(self) -> str:
        """As a line of a table for people."""
        sign, verdict = ("≥", "met") if self.higher_is_better else ("≤", "met")
        if not self.is_met:
            verdict = "MISSED"
        beside = ", ".join(f"{name} {_plain(value)}" for name, value in self.beside.items())
        return f"{self.words:58} {self.value:10,.1f} {self.unit:5} {sign} {self.goal:g}: {verdict}   {beside}"


def _plain(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(slots=True)
class Times:
    """Of each call the seconds by the clock and, where it was measured, on a processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def p99(words: str, times: Times, goal_ms: float, **beside: Any) -> Figure:
    """The 99th percentile of many times against a goal in milliseconds."""
    facts: dict[str, Any] = {"p50": percentile(times.wall, 50)}
    if times.cpu:
        facts |= {"CPU p50": percentile(times.cpu, 50), "CPU p99": percentile(times.cpu, 99)}
    return Figure(words, percentile(times.wall, 99), "ms", goal_ms, beside={**facts, "runs": len(times.wall), **beside})


def percentile(seconds: Sequence[float], share: float) -> float:
    """A percentile in milliseconds."""
    return round(float(np.percentile(seconds, share)) * 1000, 2)


def time_calls(call: Callable[[], Any], runs: int, clock: CpuClock) -> Times:
    """Times of each of `runs` calls, after two that do not count."""
    times = Times()
    for number in range(runs + 2):
        cpu, began = clock.seconds(), time.perf_counter()
        call()
        ended = time.perf_counter()
        if number > 1:
            times.wall.append(ended - began)
            times.cpu.append(clock.seconds() - cpu)
    return times
