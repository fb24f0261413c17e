"""The goals, each with how its figure is read from what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on one figure; `read` takes it from the scenarios' figures."""

    scenario: str
    what: str
    bound: float
    unit: str
    read: Callable[[Figures], float]
    at_least: bool = True

    def met(self, value: float) -> bool:
        """Whether the figure is on the right side of the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def _at_most(scenario: str, what: str, bound: float, unit: str, read: Callable[[Figures], float]) -> Goal:
    return Goal(scenario, what, bound, unit, read, at_least=False)


def _spread(values: dict[str, float], first: str | None = None) -> float:
    """The largest deviation from the figure at `first`, or from the lowest, in percent."""
    base = values[first] if first else min(values.values())
    return (max(values.values()) / base - 1) * 100


GOALS = (
    Goal("singles", "single predictions, accepted and answered", 4500, "/s", lambda f: f["predictq"]["rate"]),
    Goal("singles", "… over FastAPI + Celery", 20, "×", lambda f: f["predictq"]["rate"] / f["recipe"]["rate"]),
    Goal("singles", "… over a POST that does nothing", 0.55, "×", lambda f: f["predictq"]["rate"] / f["noop_rate"]),
    _at_most("singles", "p99 of the POST at that load", 120, "ms", lambda f: f["predictq"]["p99_ms"]),
    _at_most("singles", "p99 of the POST at 1,000/s", 30, "ms", lambda f: f["predictq"]["paced"]["p99_ms"]),
    _at_most(
        "roundtrip", "round trip over the synchronous endpoint, p50", 1.2, "×",
        lambda f: f["predictq"]["p50_ms"] / f["synchronous"]["p50_ms"],
    ),
    _at_most(
        "roundtrip", "round trip over the synchronous endpoint, p99", 2.5, "×",
        lambda f: f["predictq"]["p99_ms"] / f["synchronous"]["p99_ms"],
    ),
    Goal("statuses", "status reads by 256 pollers", 5000, "/s", lambda f: f["rate"]),
    Goal("bulk", "bulk, with the full trace", 120_000, "rows/s", lambda f: f["predictq"]["rate"]),
    Goal("bulk", "… over the pandas script", 8, "×", lambda f: f["predictq"]["rate"] / f["pandas"]["rate"]),
    Goal("bulk", "… over COPY without a trace", 0.5, "×", lambda f: f["predictq"]["rate"] / f["copy_limit_rate"]),
    _at_most("bulk", "p99 of single predictions beside a bulk job", 150, "ms", lambda f: f["singles_beside"]["p99_ms"]),
    _at_most("bulk", "upload of the ids as CSV", 6, "s", lambda f: f["upload"]["seconds"]),
    _at_most("bulk", "download of the results as CSV", 4, "s", lambda f: f["download"]["seconds"]),
    _at_most(
        "growth", "time per row, largest over smallest", 15, "% more", lambda f: _spread(f["microseconds_per_row"])
    ),
    _at_most("growth", "single p50 with millions stored", 15, "% more", lambda f: _spread(f["single_p50_ms"], "0")),
    Goal("replicas", "1 → 2 replicas, a model that computes", 1.7, "×", lambda f: f["computing"]["gain"]),
    Goal("replicas", "1 → 8 replicas, a model that sleeps", 7.5, "×", lambda f: f["sleeping"]["gain"]),
    _at_most("singles", "memory of the gateway (PSS)", 110, "MB", lambda f: f["predictq"]["gateway_mb"]),
    _at_most(
        "singles", "memory that one more worker process adds (PSS)", 60, "MB",
        lambda f: max(f["predictq"]["worker_pool_added_mb"]),
    ),
    _at_most("growth", "peak of a worker process in the largest job", 400, "MB", lambda f: f["worker_peak_mb"]),
)  # fmt: skip
