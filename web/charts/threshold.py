"""A probability beside its threshold, on one line from 0 to 1."""

from __future__ import annotations

from markupsafe import Markup, escape

_LEFT = 12
_CLOSE = 80  # to an end of the line, from where on a word in the middle would reach beyond it


def threshold_chart(value: float, threshold: float, words: tuple[str, str, str]) -> Markup:
    """The line twice, for wide and for narrow screens: one of them is shown. The figures stand in the text above it.

    `words`: what it says as a whole, the word for threshold, and the one for the answer.
    """
    wide, narrow = (_line(value, threshold, words, width) for width in (600, 300))
    return Markup(f'<div class="for-wide">{wide}</div><div class="for-narrow">{narrow}</div>')  # noqa: S704 - see _line


def _line(value: float, threshold: float, words: tuple[str, str, str], width: int) -> str:
    whole, threshold_word, answer_word = map(escape, words)
    span = width - 2 * _LEFT
    at, limit = (_LEFT + span * min(1.0, max(0.0, number)) for number in (value, threshold))
    return (
        f'<svg class="chart threshold" viewBox="0 0 {width} 84" role="img" aria-label="{whole}">'
        f'<rect class="rest" x="{_LEFT}" y="40" width="{span}" height="8" rx="4"/>'
        f'<rect class="filled" x="{_LEFT}" y="40" width="{at - _LEFT:.1f}" height="8" rx="4"/>'
        f'<line class="mark" x1="{limit:.1f}" x2="{limit:.1f}" y1="30" y2="58"/>'
        f'<circle class="dot" cx="{at:.1f}" cy="44" r="7"/>'
        f'<text class="strong" x="{at:.1f}" y="22" text-anchor="{_anchor(at, width)}">'
        f"{answer_word}</text>"
        f'<text x="{limit:.1f}" y="76" text-anchor="{_anchor(limit, width)}">'
        f"{threshold_word}</text></svg>"
    )


def _anchor(at: float, width: int) -> str:
    return "start" if at < _CLOSE else "end" if at > width - _CLOSE else "middle"
