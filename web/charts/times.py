"""Round times for an axis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * number for number in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * number for number in (1, 2, 3, 6, 12)),
    *(_DAY * number for number in (1, 2, 7, 14, 28, 91, 182, 364)),
)


def round_times(first: datetime, last: datetime, most: int) -> tuple[int, Sequence[datetime]]:
    """A step in seconds, and the times from `first` to `last` that are whole steps on a clock of their zone.

    There are `most` of them or one more, unless the span is of centuries. Where the clock is put back or forward,
    those after it may be some minutes off a whole step.
    """
    span = (last - first).total_seconds()
    step = next((step for step in _STEPS if span / step <= most), _STEPS[-1] * (1 + int(span / _STEPS[-1] / most)))
    offset = (first.utcoffset() or timedelta()).total_seconds()
    begin = first.timestamp() + offset
    number = -int(-begin // step)
    found = []
    while (at := number * step - offset) <= last.timestamp():
        found.append(datetime.fromtimestamp(at, first.tzinfo or UTC))
        number += 1
    return step, found
