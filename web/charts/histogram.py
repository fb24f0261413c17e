"""How answers spread: bars over an axis, with the threshold where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from web.charts.scale import drawable, round_ticks, wide_enough
from web.charts.svg import drawing, element, percent

_TOP, _PLOT, _BOTTOM = 30, 140, 36  # pixels: above for names, the bars, below for the axis and its name
_GAP = 0.18  # of a bar's width
_LEFT_OF = 60.0  # per cent across, from which a word stands left of its line
_COUNTS = 4  # marks beside the bars, at most
_BESIDE = -8  # pixels from the bars to those marks


@dataclass(frozen=True, slots=True)
class Words:
    """What stands at a histogram: `across` names what is measured, `counted` what the bars count."""

    label: str  # of the whole, for whoever cannot see it
    across: str
    counted: str
    threshold: str


def histogram(
    bins: Sequence[Mapping[str, Any]],
    words: Words,
    *,
    write: Callable[[float], str],
    count: Callable[[float], str],
    threshold: float | None = None,
) -> Markup:
    """Bars of `bins` (low, high, count). Those at or above the threshold are darker."""
    low, high = wide_enough(drawable(bins[0]["low"]), drawable(bins[-1]["high"]))
    most = max(item["count"] for item in bins) or 1

    def across(value: float) -> float:
        return 100 * (drawable(value) - low) / (high - low)

    parts = _counts(most, count)
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
    parts.append(element("text", words.across, x="50%", y=base + 31, text_anchor="middle"))
    parts.append(element("text", words.counted, x=_BESIDE, y=12, text_anchor="start", dx=-36))
    if threshold is not None:
        parts += _threshold(across(threshold), words.threshold)
    return drawing(parts, height=_TOP + _PLOT + _BOTTOM, label=words.label, class_="with-scale")


def _counts(most: float, count: Callable[[float], str]) -> list[Markup]:
    """Lines at few whole numbers, which stand beside them."""
    parts = []
    for tick in (tick for tick in round_ticks(0, most, _COUNTS) if tick == int(tick)):
        y = _TOP + _PLOT * (1 - tick / most)
        parts.append(element("line", x1="0%", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid-line"))
        parts.append(element("text", count(tick), x=_BESIDE, y=f"{y + 4:.1f}", text_anchor="end"))
    return parts


def _tick(place: float, text: str) -> Markup:
    anchor = "start" if place < 2 else "end" if place > 98 else "middle"
    return element("text", text, x=percent(place), y=_TOP + _PLOT + 15, text_anchor=anchor)


def _threshold(place: float, word: str) -> list[Markup]:
    is_left = place > _LEFT_OF
    line = element("line", x1=percent(place), x2=percent(place), y1=2, y2=_TOP + _PLOT, class_="threshold")
    said = element(
        "text", word, x=percent(place), dx=-6 if is_left else 6, y=12, text_anchor="end" if is_left else "start",
        class_="named",
    )  # fmt: skip
    return [line, said]
