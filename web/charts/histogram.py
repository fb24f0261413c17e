"""How answers spread: bars over an axis, with the threshold where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from web.charts.scale import round_ticks
from web.charts.svg import drawing, element, percent

_TOP, _PLOT, _BOTTOM = 22, 140, 20  # pixels: above for the threshold's name, the bars, below for the axis
_GAP = 0.18  # of a bar's width
_LEFT_OF = 60.0  # per cent across, from which a text stands left of its line


def histogram(
    bins: Sequence[Mapping[str, Any]],
    *,
    write: Callable[[float], str],
    label: str,
    threshold: float | None = None,
    threshold_text: str = "",
) -> Markup:
    """Bars of `bins` (low, high, count). Those at or above the threshold are darker, which is named above its line."""
    low, high = float(bins[0]["low"]), float(bins[-1]["high"])
    most = max(item["count"] for item in bins) or 1

    def across(value: float) -> float:
        return 100 * (value - low) / (high - low)

    parts: list[Markup] = []
    for item in bins:
        left, width = across(item["low"]), across(item["high"]) - across(item["low"])
        tall = max(1.0, _PLOT * item["count"] / most) if item["count"] else 0.0
        is_above = threshold is None or (item["low"] + item["high"]) / 2 >= threshold
        parts.append(
            element(
                "rect",
                x=percent(left + width * _GAP / 2),
                y=f"{_TOP + _PLOT - tall:.1f}",
                width=percent(width * (1 - _GAP)),
                height=f"{tall:.1f}",
                class_="above" if is_above else "below",
            )
        )
    base = _TOP + _PLOT + 0.5
    parts.append(element("line", x1="0%", x2="100%", y1=base, y2=base, class_="base"))
    parts += [_tick(across(tick), write(tick)) for tick in round_ticks(low, high)]
    if threshold is not None:
        parts += _threshold(across(threshold), threshold_text)
    return drawing(parts, height=_TOP + _PLOT + _BOTTOM, label=label)


def _tick(place: float, text: str) -> Markup:
    anchor = "start" if place < 2 else "end" if place > 98 else "middle"
    return element("text", text, x=percent(place), y=_TOP + _PLOT + 15, text_anchor=anchor)


def _threshold(place: float, text: str) -> list[Markup]:
    is_left = place > _LEFT_OF
    line = element("line", x1=percent(place), x2=percent(place), y1=2, y2=_TOP + _PLOT, class_="threshold")
    said = element(
        "text", text, x=percent(place), dx=-6 if is_left else 6, y=12, text_anchor="end" if is_left else "start",
        class_="named",
    )  # fmt: skip
    return [line, said]
