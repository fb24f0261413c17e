"""Axes with few round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

_ROUND = (1, 2, 2.5, 5, 10)
_LEAST = 1e-300  # below it powers of ten run out


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
