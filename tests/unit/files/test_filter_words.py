"""A filter's values are sent as they were written: what they are is for the column to say."""

from __future__ import annotations

import pytest

from cli.arguments.conditions import read_condition
from cli.errors import UsageProblem
from shared.sources.filter_values import value_text
from shared.sources.filter_words import CannotSay
from shared.sources.key_types import Unfit
from web.screens.jobs.new import where_of


@pytest.mark.parametrize("word", ["true", "FALSE"])
def test_true_and_false_can_be_asked_for_in_columns_of_texts_and_of_truth_values(word: str) -> None:
    """On the command line and in the screens, which do not know the column's type."""
    for where in (read_condition([f"flag={word}"]), where_of([{"column": "flag", "sign": "", "value": word}])):
        assert value_text("text", where["flag"]) == word
        assert value_text("boolean", where["flag"]) == word.lower()


@pytest.mark.parametrize(
    ("typed", "means"),
    [("Yes", "true"), ("oui", "true"), ("NON", "false"), ("f", "false"), ("1", "true"), (False, "false")],
)
def test_a_flag_is_asked_for_by_the_words_that_files_have(typed: object, means: str) -> None:
    """As imports and uploads read them."""
    assert value_text("boolean", typed) == means


def test_a_number_that_was_rounded_on_its_way_selects_nobody_else() -> None:
    """Beyond ±2⁵³ and beyond 64 bits a reader of JSON makes a double of it: its digits as a string are exact."""
    for kind in ("bigint", "numeric"):
        assert value_text(kind, float(2**53 - 1)).removesuffix(".0") == str(2**53 - 1)
        assert value_text(kind, str(2**53 + 1)) == str(2**53 + 1)
        for value in (float(2**53), -float(2**63)):
            with pytest.raises(Unfit, match="digits"):
                value_text(kind, value)
    assert value_text("double precision", 1e300) == "1e+300"


@pytest.mark.parametrize("value", [0, "0e999", "-0.0", "1.4e-45", "3.4028235e38", 1e-40, "-16777217"])
def test_a_number_that_the_column_can_hold_is_taken(value: object) -> None:
    """Whatever its type."""
    for kind in ("real", "double precision", "numeric"):
        assert value_text(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("real", value) for value in (1e39, "1e40", "-3.4028236e38", 1e-46, "-1e-50", 1e300, 2.0**128)),
        *(("double precision", value) for value in ("1e400", "-1e999", "1e-400", "0.1e-330", "9" * 400)),
    ],
)
def test_a_number_beyond_the_type_of_its_column_is_refused_at_the_call(kind: str, value: object) -> None:
    """PostgreSQL reads neither what would be infinite nor what would be 0: a worker would find it, after the 202."""
    with pytest.raises(Unfit, match=f"^must be 0 or a number from ±.* to ±.*{kind} holds$"):
        value_text(kind, value)


@pytest.mark.parametrize(
    ("typed", "more"), [("perhaps", r" \(yes/no, oui/non, 1/0\)"), ("", r" \(yes"), (1, "$"), (None, "$")]
)
def test_another_word_is_no_truth_value(typed: object, more: str) -> None:
    """It is refused, and not taken for false."""
    with pytest.raises(Unfit, match=f"^must be true or false{more}"):
        value_text("boolean", typed)


@pytest.mark.parametrize(
    "rows",
    [
        [("gte", "30"), ("", "12")],
        [("", "12"), ("gte", "30")],
        [("gte", "30"), ("null", "")],
        [("gte", "30"), ("gte", "40")],
    ],
)
def test_what_one_filter_cannot_say_is_refused_and_not_left_out(rows: list[tuple[str, str]]) -> None:
    """Nobody scores other clients than those of all rows that are shown."""
    with pytest.raises(CannotSay):
        where_of([{"column": "age", "sign": sign, "value": value} for sign, value in rows])
    signs = {"gte": ">=", "": "=", "null": "="}
    with pytest.raises(UsageProblem):
        read_condition([f"age{signs[sign]}{value or 'null'}" for sign, value in rows])


def test_limits_of_two_kinds_are_a_range() -> None:
    """And equal values are alternatives."""
    limits = [{"column": "age", "sign": sign, "value": value} for sign, value in (("gte", "30"), ("lt", "40"))]
    words = [{"column": "city", "sign": "", "value": word} for word in ("Lyon", "Nice")]
    expected = {"age": {"gte": "30", "lt": "40"}, "city": ["Lyon", "Nice"]}
    assert where_of([*limits, *words]) == expected
    assert read_condition(["age>=30", "age<40", "city=Lyon", "city=Nice"]) == expected


@pytest.mark.parametrize(
    ("kind", "typed", "example"),
    [
        ("double precision", "3000,5", "3000.5"),
        ("numeric", "beaucoup", "3000.5"),
        ("timestamp", "01/02/2024", "2026-01-31T12:00:00 or 2026-01-31"),
        ("timestamptz", "01/02/2024", "2026-01-31T12:00:00Z"),
        ("timestamptz", "2024-02-01T12:00:00.1234567Z", "2026-01-31T12:00:00Z"),
        ("date", "01/02/2024", "2025-01-31"),
    ],
)
def test_a_refused_value_of_a_filter_shows_what_to_type(kind: str, typed: str, example: str) -> None:
    """And what it shows is taken."""
    with pytest.raises(Unfit) as refused:
        value_text(kind, typed)
    assert str(refused.value).endswith(example)
    for shown in example.split(" or "):
        assert value_text(kind, shown)
