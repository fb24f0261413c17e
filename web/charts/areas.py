"""Figures through time: areas one on the other, and small lines without an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from web.charts.scale import round_ticks
from web.charts.svg import drawing, element, percent, stretched

_PLOT, _BOTTOM = 168, 20  # pixels
_WIDE, _TALL = 1000, 100  # of the inner drawing, which is stretched


def areas(
    series: Sequence[Sequence[float]],
    *,
    ticks: Sequence[tuple[float, str]],
    write: Callable[[float], str],
    label: str,
) -> Markup:
    """Equally long `series`, the first at the bottom. `ticks` are places across in per cent, with their texts."""
    sums = [sum(column) for column in zip(*series, strict=True)]
    top = _round_top(max(sums, default=0.0))
    parts = [_area(one, below, top, number) for number, (one, below) in enumerate(_stacked(series))]
    drawn = stretched(parts, _WIDE, _TALL, height=_PLOT)
    lines: list[Markup] = []
    for tick in round_ticks(0, top, 3):
        y = _PLOT * (1 - tick / top)
        lines.append(element("line", x1="0%", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid-line"))
        if tick:
            lines.append(element("text", write(tick), x="100%", dx=8, y=f"{max(y + 4, 10):.1f}"))
    below_axis = [
        element("text", text, x=percent(place), y=_PLOT + 15, text_anchor="end" if place > 96 else "middle")
        for place, text in ticks
    ]
    return drawing([drawn, *lines, *below_axis], height=_PLOT + _BOTTOM, label=label, class_="with-scale-after")


def sparkline(values: Sequence[float]) -> Markup:
    """A small line without an axis, for beside a figure that says the same."""
    if len(values) < 2 or not max(values):
        return Markup("")
    top, last = max(values), len(values) - 1
    points = " ".join(f"{100 * n / last:.1f},{30 - 28 * value / top:.1f}" for n, value in enumerate(values))
    line = element("polyline", points=points)
    return element("svg", line, class_="spark", viewBox="0 0 100 32", preserveAspectRatio="none", aria_hidden="true")


def _round_top(most: float) -> float:
    ticks = round_ticks(0, most, 3) if most else (0.0, 1.0)
    step = ticks[1] if len(ticks) > 1 else most
    return max(ticks[-1] + (step if ticks[-1] < most else 0.0), 1e-9)


def _stacked(series: Sequence[Sequence[float]]) -> list[tuple[list[float], list[float]]]:
    """Of each series its upper and its lower edge."""
    found, below = [], [0.0] * (len(series[0]) if series else 0)
    for one in series:
        upper = [low + value for low, value in zip(below, one, strict=True)]
        found.append((upper, below))
        below = upper
    return found


def _area(upper: Sequence[float], lower: Sequence[float], top: float, number: int) -> Markup:
    last = max(1, len(upper) - 1)

    def places(values: Sequence[float], order: Sequence[int]) -> str:
        return " ".join(f"{_WIDE * n / last:.1f},{_TALL * (1 - values[n] / top):.2f}" for n in order)

    forth = range(len(upper))
    points = f"{places(upper, forth)} {places(lower, forth[::-1])}"
    return element("polygon", points=points, class_=f"series-{number}")
