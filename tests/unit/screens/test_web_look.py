"""The colours of the screens can be told from their ground, in light and in dark."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT

CSS = (ROOT / "web" / "static" / "predictq.css").read_text(encoding="utf-8")
LEAST = 3.0  # WCAG 1.4.11: what is no text
Colour = tuple[float, float, float]


def palette(theme: str) -> dict[str, str]:
    """The variables of one theme; what it does not name is as in light."""
    blocks = re.findall(r"^ *(:root[^{]*)\{(.*?)\}", CSS, re.MULTILINE | re.DOTALL)
    plain = [body for selector, body in blocks if selector.strip() == ":root"]
    dark = [body for selector, body in blocks if theme in selector and "not" not in selector]
    return {
        name: value.strip() for body in [plain[0], *dark[:1]] for name, value in re.findall(r"--(\w+): ([^;]+);", body)
    }


def colour(text: str, known: dict[str, str]) -> Colour:
    """What a value of the style sheet comes to: three parts from 0 to 1."""
    if found := re.fullmatch(r"var\(--(\w+)\)", text):
        return colour(known[found[1]], known)
    if found := re.fullmatch(r"color-mix\(in srgb, (.+) (\d+)%, (.+)\)", text):
        part, first, second = int(found[2]) / 100, colour(found[1], known), colour(found[3], known)
        red, green, blue = (part * one + (1 - part) * other for one, other in zip(first, second, strict=True))
        return red, green, blue
    digits = text.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    red, green, blue = (int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4))
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG 2 counts it."""

    def brightness(parts: Colour) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((brightness(one), brightness(other)))
    return (light + 0.05) / (dark + 0.05)


def test_no_number_of_a_table_of_features_is_broken_within() -> None:
    """A cell that may break anywhere is as narrow as one letter; the table scrolls instead."""
    rules = re.findall(r"^ *(table\.features [^{]*)\{([^}]*)\}", CSS, re.MULTILINE)
    assert rules
    assert [selector for selector, body in rules if "anywhere" in body or "break-all" in body] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_drawn_is_seen(theme: str) -> None:
    """Series of charts, the bars below a threshold, and the edges of what is filled in."""
    known = palette(theme)
    below = re.search(r"rect\.below \{ fill: ([^;]+);", CSS)
    assert below is not None
    drawn = {name: known[name] for name in ("one", "two", "three", "four", "five", "six", "edge")} | {"below": below[1]}
    for ground in ("card", "paper"):
        found = {name: contrast(colour(text, known), colour(known[ground], known)) for name, text in drawn.items()}
        assert {name: round(value, 2) for name, value in found.items() if value < LEAST} == {}


def test_the_dark_of_a_choice_is_the_dark_of_the_system() -> None:
    """Both blocks say the same."""
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', CSS, re.DOTALL)
    system = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', CSS, re.DOTALL)
    assert chosen is not None
    assert system is not None
    assert re.findall(r"--\w+: [^;]+;", chosen[1]) == re.findall(r"--\w+: [^;]+;", system[1])
