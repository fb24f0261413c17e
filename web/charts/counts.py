"""Counts by name, as bars that lie: for labels, of which there may be many."""

from __future__ import annotations

from markupsafe import Markup

from web.charts.svg import element, percent


def count_bar(count: int, most: int) -> Markup:
    """A bar as long as its share of the longest. The figure stands beside it."""
    bar = element("rect", width=percent(100 * count / most if most else 0), height=8, rx=2, class_="above")
    return element("svg", bar, class_="count", width="100%", height=8, aria_hidden="true")
