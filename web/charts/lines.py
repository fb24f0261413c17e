"""Lines through time: answers of one client, one line for each model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from web.charts.scale import drawable, round_step, wide_enough
from web.charts.svg import drawing, element, group, percent, stretched
from web.charts.times import round_times

_TOP, _PLOT, _BOTTOM = 14, 180, 26  # pixels: a margin, the lines, below for the axis
_WIDE, _TALL = 1000, 1000  # of the inner drawing, which is stretched
_TIMES = {"for-wide": 6, "for-narrow": 3}  # marks of the axis of time
_AT_AN_END = 12.0  # per cent across, within which a time stands beside its mark and not under it
_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Series:
    """The answers of one model, oldest first: when, and how high; and the threshold they are held against."""

    name: str
    points: Sequence[tuple[datetime, float]]
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands beside the lines: how numbers and times are written."""

    title: str  # what is drawn, for whoever cannot see it
    number: Callable[[float], str]
    time: Callable[[datetime, int, bool], str]  # a mark, the seconds between two, and whether it is the first
    low: float | None = None  # where the scale begins and ends; None: with the points
    high: float | None = None


def line_charts(series: Sequence[Series], axis: Axis) -> Markup:
    """The chart twice, for wide and for narrow screens: one of them is shown. Empty without points."""
    if not any(one.points for one in series):
        return Markup("")
    charts = [element("div", _chart(series, axis, count), class_=screen) for screen, count in _TIMES.items()]
    return group(charts)


def _chart(series: Sequence[Series], axis: Axis, most_times: int) -> Markup:
    times = [at for one in series for at, _ in one.points]
    values = [value for one in series for _, value in one.points]
    steps = _steps(min(values) if axis.low is None else axis.low, max(values) if axis.high is None else axis.high)
    first, last = min(times), max(times)
    span = (last - first).total_seconds()
    low, height = steps[0], steps[-1] - steps[0] or 1.0

    def across(at: datetime) -> float:
        return 100 * (at - first).total_seconds() / span if span else 50.0

    def share(value: float) -> float:
        return 1 - (drawable(value) - low) / height

    parts = [_mark(axis.number(step), _TOP + _PLOT * share(step)) for step in steps]
    parts += _marks_of_time(first, last, most_times, axis, across)
    drawn = []
    for number, one in enumerate(series):
        colour = f"series-{number % _COLOURS}"
        places = [(across(at), share(value)) for at, value in one.points]
        if one.threshold is not None:
            y = f"{_TOP + _PLOT * share(one.threshold):.1f}"
            parts.append(element("line", x1="0%", x2="100%", y1=y, y2=y, class_=f"limit {colour}"))
        told = " ".join(f"{_WIDE * x / 100:.1f},{_TALL * y:.1f}" for x, y in places)
        drawn.append(element("polyline", points=told, class_=f"line {colour}"))
        parts += [
            element("circle", cx=percent(x), cy=f"{_TOP + _PLOT * y:.1f}", r=3, class_=f"point {colour}")
            for x, y in places
        ]
    inner = stretched(drawn, _WIDE, _TALL, y=_TOP, height=_PLOT)
    return drawing([inner, *parts], height=_TOP + _PLOT + _BOTTOM, label=axis.title, class_="with-scale-after")


def _mark(word: str, y: float) -> Markup:
    """A line across with its number behind its end."""
    line = element("line", x1="0%", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid-line")
    return line + element("text", word, x="100%", dx=8, y=f"{y + 4:.1f}")


def _marks_of_time(
    first: datetime, last: datetime, most: int, axis: Axis, across: Callable[[datetime], float]
) -> list[Markup]:
    """Round times under the lines; of a single moment that one."""
    step, times = round_times(first, last, most) if last > first else (1, [first])
    marks = []
    for number, at in enumerate(times):
        place = across(at)
        anchor = "start" if place < _AT_AN_END else "end" if place > 100 - _AT_AN_END else "middle"
        word = axis.time(at, step, number == 0)
        marks.append(element("text", word, x=percent(place), y=_TOP + _PLOT + 20, text_anchor=anchor))
        marks.append(
            element(
                "line", x1=percent(place), x2=percent(place), y1=_TOP + _PLOT, y2=_TOP + _PLOT + 5, class_="grid-line"
            )
        )
    return marks


def _steps(low: float, high: float) -> list[float]:
    """Few round numbers that reach from below the lowest to above the highest."""
    low, high = wide_enough(drawable(low), drawable(high))
    step = round_step(high - low, 4)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]
