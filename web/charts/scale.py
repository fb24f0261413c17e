"""Axes with few round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

_ROUND = (1, 2, 2.5, 5, 10)
_ALIKE = 1e-12  # of the larger one: how far two values lie apart at most that no scale could tell apart
_LEAST = 1e-300  # below it powers of ten run out
_MOST = 1e300  # above it the width of a scale is no number


def drawable(value: float) -> float:
    """The value as far as a chart reaches: nobody sees how far beyond its end one lies."""
    return max(-_MOST, min(_MOST, value))


def wide_enough(low: float, high: float) -> tuple[float, float]:
    """The ends of a scale on which values from `low` to `high` can be told apart; wider where these are as one."""
    if high - low > max(abs(low), abs(high)) * _ALIKE and high - low >= _LEAST:
        return low, high
    return low, low + (abs(low) if abs(low) > _LEAST else 1.0)


def round_step(span: float, most: int) -> float:
    """The least round step that cuts `span` into at most `most` parts."""
    if span < _LEAST:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(power * factor for factor in _ROUND if span / (power * factor) <= most * (1 + 1e-9))


def round_ticks(low: float, high: float, most: int = 5) -> Sequence[float]:
    """The round numbers from `low` to `high`, at most `most` + 1."""
    step = round_step(high - low, most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
