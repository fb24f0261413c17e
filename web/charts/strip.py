"""The batches of a job in order, as cells: done, with errors, running, waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from web.charts.svg import element, group, percent

_HEIGHT = 14
_LEAST_FOOT = 3  # pixels: one row with an error in ten thousand is still to be seen
_MOST_WIDTH = 2.5  # per cent across: a job of one batch is no bar


def strip(parts: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> Markup:
    """One cell for each part, of the colour of how it stands, with a red foot as tall as its share of rows with errors.

    Only a part of which no row has an answer is all red. Its title is shown on hover; a table beside has the same.
    """
    width = min(_MOST_WIDTH, 100 / max(1, len(parts)))
    cells = [
        element("g", group([element("title", title), *_cell(part, n * width + 0.08, width - 0.16)]))
        for n, (part, title) in enumerate(zip(parts, titles, strict=True))
    ]
    return element("svg", group(cells), class_="strip", width="100%", height=_HEIGHT, aria_hidden="true")


def _cell(part: Mapping[str, Any], left: float, width: float) -> list[Markup]:
    place = {"x": percent(left), "width": percent(width)}
    cell = [element("rect", **place, height=_HEIGHT, class_=_state(part))]
    if foot := _foot(part):
        cell.append(element("rect", **place, y=f"{_HEIGHT - foot:.1f}", height=f"{foot:.1f}", class_="foot"))
    return cell


def _state(part: Mapping[str, Any]) -> str:
    if part["running"]:
        return "running"
    if part["waiting"]:
        return "begun" if part["done"] else "waiting"
    return "succeeded"


def _foot(part: Mapping[str, Any]) -> float:
    """How tall the red is: the share of the rows that are done, whole only where all of them have errors."""
    if not part["failed_rows"]:
        return 0.0
    if part["failed_rows"] == part["rows"] and not part["running"] and not part["waiting"]:
        return _HEIGHT
    share: float = part["failed_rows"] / part["rows"]
    return min(_HEIGHT - _LEAST_FOOT, max(_LEAST_FOOT, _HEIGHT * share))
