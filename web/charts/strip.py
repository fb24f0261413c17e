"""The batches of a job in order, as cells: done, with errors, running, waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from web.charts.svg import element, group, percent

_HEIGHT = 14
_MOST_WIDTH = 2.5  # per cent across: a job of one batch is no bar


def strip(parts: Sequence[Mapping[str, int]]) -> Markup:
    """One cell for each part; its colour is of the most urgent that is in it. The words and figures stand beside."""
    width = min(_MOST_WIDTH, 100 / max(1, len(parts)))
    cells = [
        element("rect", x=percent(n * width + 0.08), width=percent(width - 0.16), height=_HEIGHT, class_=_state(part))
        for n, part in enumerate(parts)
    ]
    return element("svg", group(cells), class_="strip", width="100%", height=_HEIGHT, aria_hidden="true")


def _state(part: Mapping[str, int]) -> str:
    if part["failed"]:
        return "failed"
    if part["running"]:
        return "running"
    if part["waiting"]:
        return "begun" if part["done"] else "waiting"
    return "succeeded"
