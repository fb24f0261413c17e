"""Cells with types of their own, and fields that are flags: as keys and as values, up to the edges of their types."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pytest

from shared.models.feature import FeatureKind, FeatureSpec
from shared.sources.errors import KeyRefused
from shared.uploads.cell_values import key_text, value_of_cell
from shared.uploads.feature_values import ValueRefused, value_of_text

MOMENT = dt.datetime.fromisoformat("2024-12-31T10:30")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (" 007\t", "007"),
        (12, "12"),
        (12.0, "12"),
        (float(2**53 - 1), str(2**53 - 1)),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (dt.date(2024, 12, 31), "2024-12-31"),
        (dt.datetime.combine(MOMENT, dt.time()), "2024-12-31"),
        (MOMENT, "2024-12-31 10:30:00"),
    ],
)
def test_a_cell_is_the_key_that_a_file_of_text_would_have(cell: Any, text: str) -> None:
    """A whole number without its point, and a day without the midnight that Excel gives it."""
    assert key_text(cell) == text


@pytest.mark.parametrize("cell", [True, 1.5, float(2**53), math.inf, b"7", [7]])
def test_a_cell_that_may_have_lost_something_is_no_key(cell: Any) -> None:
    """Nor is one that no key can be."""
    with pytest.raises(KeyRefused):
        key_text(cell)


@pytest.mark.parametrize("cell", [2**53 + 1, 2**53 + 3, -(2**53) - 1, -(2**53) - 3])
def test_a_whole_number_that_a_double_would_round_is_refused(cell: int) -> None:
    """Up as well as down."""
    with pytest.raises(ValueRefused, match="a double holds exactly"):
        value_of_cell(FeatureSpec("income", FeatureKind.NUMBER), cell)


@pytest.mark.parametrize("cell", [True, "x", dt.date(2024, 12, 31)])
@pytest.mark.parametrize("kind", [FeatureKind.NUMBER, FeatureKind.INTEGER])
def test_what_is_no_number_becomes_none(kind: FeatureKind, cell: Any) -> None:
    """A flag is no 1, and a day is no count of days."""
    with pytest.raises(ValueRefused, match="number"):
        value_of_cell(FeatureSpec("income", kind), cell)


@pytest.mark.parametrize("letters", [str.lower, str.upper, str.title])
def test_a_flag_has_three_words_for_each(letters: Any) -> None:
    """In whatever case, with blanks around it."""
    spec = FeatureSpec("garage", FeatureKind.BOOLEAN)
    for words, flag in ((("true", "t", "1"), True), (("false", "f", "0"), False)):
        assert [value_of_text(spec, f" {letters(word)}\t") for word in words] == [flag] * 3
