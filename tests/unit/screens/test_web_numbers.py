"""Any number can be written in either language: the largest, the smallest, and what is none."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest
from babel import Locale
from hypothesis import assume, example, given
from hypothesis import strategies as st

from web.charts.curves import curves_chart, lines_of
from web.charts.histogram import Words, histogram
from web.words.language import choose_language
from web.words.numbers import Numbers
from web.words.typed import number_typed

BOTH = [Numbers(Locale("en")), Numbers(Locale("fr"))]
EXTREMES = (1e15, 1e28, 1.5e29, 1e300, -1e300, 1e-6, 9e-7, 1e-300, 5e-324, math.nan, math.inf, -math.inf)
WORDS = Words("whole", "value", "answers", "threshold")


def with_extremes(test):  # type: ignore[no-untyped-def]
    """The test, which takes one number, with those that were hard to write."""
    for number in EXTREMES:
        test = example(number)(test)
    return test


@with_extremes
@given(st.floats() | st.integers(-(10**40), 10**40))
def test_every_number_is_written_and_in_few_signs(number: float) -> None:
    """By each way of writing one; nothing is a long run of zeros."""
    for numbers in BOTH:
        for written in (
            numbers.plain(number),
            numbers.plain(number, 6),
            numbers.exact(number),
            numbers.short(number),
            numbers.size(number),
            numbers.share(number, 1),
            numbers.probability(number),
            *numbers.with_interval(number, number, number),
        ):
            assert len(written) <= 64
        if math.isfinite(number):
            assert numbers.whole(int(number))


@given(st.floats(), st.floats(), st.floats())
@example(0.0, -1e300, 1e300)
@example(1e-300, 1e-301, 0.5)
@example(5e-324, 1e-323, 1e-300)
def test_numbers_that_are_written_together_are_written(one: float, other: float, third: float) -> None:
    """A part of another, a probability beside its threshold, a figure and its interval."""
    for numbers in BOTH:
        assert numbers.share(one, other)
        assert numbers.probability(one, other)
        assert all(map(len, numbers.with_interval(one, other, third))) or not math.isfinite(one + other + third)


@with_extremes
@given(st.floats())
def test_a_number_written_with_all_its_digits_is_that_number(number: float) -> None:
    """In either language, and a reader may give it back."""
    assume(math.isfinite(number))
    for accept in ("en", "fr"):
        language = choose_language({}, accept)
        assert float(number_typed(language, language.numbers.exact(number))) == number


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        (1.5e29, "1.5E29", "1,5E29"),
        (-1e300, "-1E300", "-1E300"),
        (1234567890123456.0, "1.234567890123456E15", "1,234567890123456E15"),
        (999_999_999_999_999.0, "999,999,999,999,999", "999\u202f999\u202f999\u202f999\u202f999"),
        (5e-324, "5E-324", "5E-324"),
        (0.0000009, "9E-7", "9E-7"),
        (0.000001, "0.000001", "0,000001"),
    ],
)
def test_the_largest_and_the_smallest_numbers_have_an_exponent(number: float, english: str, french: str) -> None:
    """From 1e15 on, and below 1e-6."""
    assert [numbers.exact(number) for numbers in BOTH] == [english, french]


def test_a_measured_number_is_never_nothing_where_it_is_something() -> None:
    """However small it is."""
    assert [BOTH[0].plain(number) for number in (1e-300, 1.23456e-7, 1.23456e18, 0.0)] == [
        "1E-300",
        "1.235E-7",
        "1.235E18",
        "0",
    ]
    assert [BOTH[0].short(number) for number in (12_000, 1e300)] == ["12K", "1E300"]


@pytest.mark.parametrize(
    ("count", "written"),
    [(0, "0 B"), (999, "999 B"), (999_499, "999 kB"), (999_999, "1 MB"), (1_234_567, "1.23 MB"), (10**15, "1,000 TB")],
)
def test_a_size_has_the_unit_that_fits(count: int, written: str) -> None:
    """What is rounded to a thousand of one unit is one of the next."""
    assert BOTH[0].size(count) == written


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
@example(-1.7e308, 1.7e308)
@example(0.0, 1e300)
def test_charts_of_any_numbers_are_drawn(one: float, other: float) -> None:
    """Their places are numbers."""
    low, high = sorted((one, other))
    assume(low < high)
    drawn = str(histogram([{"low": low, "high": high, "count": 3}], WORDS, write=BOTH[0].plain, count=BOTH[0].short))
    curves = {"predicted": {"x": [low, high], "y": [high, low]}}
    lines = lines_of([("m:1", curves)], "predicted")
    drawn += str(curves_chart(lines, title="t", x_title="x", y_title="y", numbers=BOTH[0]))
    assert len(list(ET.fromstring(f"<div>{drawn}</div>"))) == 2
    assert "nan" not in drawn
    assert "inf" not in drawn
