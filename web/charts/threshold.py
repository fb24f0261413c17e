"""A probability beside its threshold, on one line from 0 to 1."""

from __future__ import annotations

from markupsafe import Markup

from web.charts.svg import drawing, element, percent

_HEIGHT = 84
_CLOSE = 25.0  # per cent to an end of the line, from where on a word in the middle would reach beyond it


def threshold_chart(value: float, threshold: float, words: tuple[str, str, str]) -> Markup:
    """The line; the figures stand in the text above it.

    `words`: what it says as a whole, the word for threshold, and the one for the answer.
    """
    whole, threshold_word, answer_word = words
    at, limit = (100 * min(1.0, max(0.0, number)) for number in (value, threshold))
    mark, dot = percent(limit), percent(at)
    parts = [
        element("rect", class_="rest", width="100%", y=40, height=8, rx=4),
        element("rect", class_="filled", width=dot, y=40, height=8, rx=4),
        element("line", class_="mark", x1=mark, x2=mark, y1=30, y2=58),
        element("circle", class_="dot", cx=dot, cy=44, r=7),
        element("text", answer_word, class_="strong", x=dot, y=22, text_anchor=_anchor(at)),
        element("text", threshold_word, x=mark, y=76, text_anchor=_anchor(limit)),
    ]
    return drawing(parts, height=_HEIGHT, label=whole, class_="threshold")


def _anchor(at: float) -> str:
    return "start" if at < _CLOSE else "end" if at > 100 - _CLOSE else "middle"
