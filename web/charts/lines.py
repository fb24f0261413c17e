"""Lines through time: answers of one client, one line for each model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from web.charts.scale import round_step

_TOP, _BOTTOM, _RIGHT, _HEIGHT = 14, 26, 56, 220
_TIMES = {340: 3, 760: 6}  # marks of the axis of time, by width


@dataclass(frozen=True, slots=True)
class Series:
    """The answers of one model, oldest first: when, and how high."""

    name: str
    points: Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands beside the lines: how numbers and times are written."""

    title: str  # what is drawn, for whoever cannot see it
    number: Callable[[float], str]
    time: Callable[[datetime], str]
    low: float | None = None  # where the scale begins and ends; None: with the points
    high: float | None = None


def line_charts(series: Sequence[Series], axis: Axis) -> Markup:
    """The chart twice, for wide and for narrow screens: one of them is shown. Empty without points."""
    if not any(one.points for one in series):
        return Markup("")
    wide, narrow = (_chart(series, axis, width) for width in (760, 340))
    return Markup(f'<div class="for-wide">{wide}</div><div class="for-narrow">{narrow}</div>')  # noqa: S704 - see _chart


def _chart(series: Sequence[Series], axis: Axis, width: int) -> str:
    times = [at.timestamp() for one in series for at, _ in one.points]
    values = [value for one in series for _, value in one.points]
    steps = _steps(min(values) if axis.low is None else axis.low, max(values) if axis.high is None else axis.high)
    first, last = min(times), max(times)
    span = last - first or 1.0
    low, height = steps[0], steps[-1] - steps[0] or 1.0

    def x(at: float) -> float:
        return 8 + (width - _RIGHT - 16) * ((at - first) / span if last > first else 0.5)

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / height)

    parts = []
    for step in steps:
        place = f"{y(step):.1f}"
        parts.append(f'<line class="grid-line" x1="0" x2="{width - _RIGHT}" y1="{place}" y2="{place}"/>')
        parts.append(f'<text x="{width - _RIGHT + 8}" y="{y(step) + 4:.1f}">{escape(axis.number(step))}</text>')
    zone = series[0].points[0][0].tzinfo if series[0].points else None
    count = _TIMES[width] if last > first else 1
    said = ""
    for number in range(count):
        at = first + span * number / max(1, count - 1) if count > 1 else first
        anchor = "middle" if 0 < number < count - 1 or count == 1 else "start" if number == 0 else "end"
        word = escape(axis.time(datetime.fromtimestamp(at, zone)))
        if word == said:
            continue
        said = word
        parts.append(f'<text x="{x(at):.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{word}</text>')
    for number, one in enumerate(series):
        places = " ".join(f"{x(at.timestamp()):.1f},{y(value):.1f}" for at, value in one.points)
        parts.append(f'<polyline class="line series-{number % 6}" points="{places}"/>')
        parts += [
            f'<circle class="point series-{number % 6}" cx="{x(at.timestamp()):.1f}" cy="{y(value):.1f}" r="3"/>'
            for at, value in one.points
        ]
    return (
        f'<svg class="chart" viewBox="0 0 {width} {_HEIGHT}" role="img" aria-label="{escape(axis.title)}">'
        f"{''.join(parts)}</svg>"
    )


_ALIKE, _LEAST = 1e-12, 1e-300


def _steps(low: float, high: float) -> list[float]:
    """Few round numbers that reach from below the lowest to above the highest."""
    if high - low <= max(abs(low), abs(high)) * _ALIKE or high - low < _LEAST:  # no scale could tell them apart
        high = low + (abs(low) if abs(low) > _LEAST else 1.0)
    step = round_step(high - low, 4)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]
