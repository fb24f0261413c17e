"""Curves of several versions in one picture: drawn from figures, with a table behind it for whoever cannot see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from web.charts.scale import drawable, wide_enough
from web.words.numbers import Numbers

_WIDTH, _HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 26, 36
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, its points, and whether each point is marked."""

    name: str
    points: Sequence[tuple[float, float]]
    is_marked: bool = True
    mark: tuple[float, float] | None = None  # a point of it that is worth more than the others


def lines_of(versions: Sequence[tuple[str, Mapping[str, Mapping[str, list[float]]]]], curve: str) -> list[Line]:
    """The curve of that name of each version that has it."""
    found = []
    for name, curves in versions:
        of = curves.get(curve)
        if not of or len(of["x"]) < 2 or len(of["x"]) != len(of["y"]):
            continue
        chosen = curves.get("threshold") if curve == "precision_recall" else None
        mark = (chosen["x"][0], chosen["y"][0]) if chosen and chosen["x"] and chosen["y"] else None
        points = list(zip(of["x"], of["y"], strict=True))
        found.append(Line(name, points, is_marked=len(points) <= 20, mark=mark))
    return found


def curves_chart(
    lines: Sequence[Line], *, title: str, x_title: str, y_title: str, numbers: Numbers, with_diagonal: bool = False
) -> Markup:
    """The picture. Axes go from 0 to 1, or over all points where these go beyond."""
    low, high = _extent(lines)
    parts = [_axes(low, high, x_title, y_title, numbers)]
    if with_diagonal:
        parts.append(_path([(low, low), (high, high)], low, high, "ideal"))
    for number, line in enumerate(lines):
        series = f"series-{number}"
        parts.append(_path(line.points, low, high, series))
        parts += [_dot(point, low, high, series, 2.5) for point in line.points if line.is_marked]
        if line.mark is not None:
            parts.append(_dot(line.mark, low, high, f"{series} chosen", 4.5))
    return Markup(  # noqa: S704 - numbers, and texts that are escaped
        f'<svg class="chart curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _extent(lines: Sequence[Line]) -> tuple[float, float]:
    values = [value for line in lines for point in line.points for value in point]
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (0.0, 1.0) if low >= 0 and high <= 1 else wide_enough(drawable(low), drawable(high))


def _x(value: float, low: float, high: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (drawable(value) - low) / (high - low)


def _y(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (drawable(value) - low) / (high - low)


def _axes(low: float, high: float, x_title: str, y_title: str, numbers: Numbers) -> str:
    parts = []
    for step in range(_TICKS):
        value = low + (high - low) * step / (_TICKS - 1)
        x, y, word = _x(value, low, high), _y(value, low, high), escape(numbers.plain(value, 3))
        parts.append(f'<line class="grid-line" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{word}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{word}</text>')
    middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_title)}</text>')
    parts.append(f'<text x="{_LEFT}" y="12">{escape(y_title)}</text>')
    return "".join(parts)


def _path(points: Sequence[tuple[float, float]], low: float, high: float, name: str) -> str:
    told = " ".join(f"{_x(x, low, high):.1f},{_y(y, low, high):.1f}" for x, y in points)
    return f'<polyline class="curve {name}" points="{told}"/>'


def _dot(point: tuple[float, float], low: float, high: float, name: str, radius: float) -> str:
    x, y = _x(point[0], low, high), _y(point[1], low, high)
    return f'<circle class="spot {name}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
