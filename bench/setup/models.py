"""Models that make a replica's worth visible: one that computes, one that sleeps. Workers import them by name."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass
class _Plain:
    """Answers from the age alone, after `seconds`."""

    seconds: float

    def __post_init__(self) -> None:
        self.classes_ = np.array([0, 1])

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        self.spend()
        positive = features["age"].to_numpy() / 200
        return np.column_stack([1 - positive, positive])

    def spend(self) -> None:
        """Let the time pass."""
        raise NotImplementedError


class SleepingModel(_Plain):
    """Waits, as for a remote model or an accelerator."""

    def spend(self) -> None:
        """Sleep."""
        time.sleep(self.seconds)


class ComputingModel(_Plain):
    """Computes: the same work at each call, `seconds` long on a free core."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.steps = _steps(self.seconds)

    def spend(self) -> None:
        """Count."""
        _count(self.steps)


def _steps(seconds: float) -> int:
    """How far this machine counts in that time, at its best of five."""
    steps = 200_000
    best = min(_time(steps) for _ in range(5))
    return int(steps * seconds / best)


def _time(steps: int) -> float:
    began = time.perf_counter()
    _count(steps)
    return time.perf_counter() - began


def _count(steps: int) -> int:
    total = 0
    for step in range(steps):
        total += step
    return total
