"""What PostgreSQL has written as JSON is read into what can be written again, whatever its numbers."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.json_text.reading import read_json, whole_number

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)


@given(DOUBLES)
def test_a_double_comes_back_as_it_was_given(number: float) -> None:
    """With all its digits and no exponent, as jsonb writes it: 1e20 is told as a whole number of 21 digits."""
    written = f"{number:.1100f}".rstrip("0").rstrip(".")
    found = read_json(f'{{"lt": {written}}}')["lt"]
    assert found == number
    assert orjson.loads(orjson.dumps(found)) == number


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 2**63, 2**64 - 1, -(2**63)])
def test_whole_numbers_of_64_bits_stay_exact(number: int) -> None:
    """As they are today, in a text of their own and beside a number that is too large for a double."""
    assert whole_number(str(number)) == number
    for text in (str(number), f"[{number}, 1e999]"):
        found = read_json(text)
        found = found[0] if isinstance(found, list) else found
        assert (type(found), found) == (int, number)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (str(2**64), 2.0**64),
        (str(-(2**63) - 1), -(2.0**63)),
        ("1" + "0" * 20, 1e20),
        ("1" + "0" * 308, 1e308),
        ("1" + "0" * 400, "1" + "0" * 400),
        ("9" * 5000, "9" * 5000),  # Python's own reader refuses more than 4,300 digits
        ("-1e999", "-1e999"),
        ("[1e999, 1e20, 100000000000000000000, 0.5]", ["1e999", 1e20, 1e20, 0.5]),
        (r'["\ud800", 100000000000000000000]', ["\ud800", 1e20]),
    ],
)
def test_larger_ones_are_doubles_and_those_beyond_doubles_texts(text: str, value: Any) -> None:
    """None is infinite, and none is a whole number that no writer takes."""
    found = read_json(text)
    assert (type(found), found) == (type(value), value)


def test_what_is_no_json_is_refused() -> None:
    """As a ValueError, of which the reader's own are."""
    for text in ("", "{", "nothing", "1 2"):
        with pytest.raises(ValueError):  # noqa: PT011 - its words are the reader's
            read_json(text)
        with pytest.raises(json.JSONDecodeError):
            read_json(text)
