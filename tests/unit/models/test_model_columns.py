from __future__ import annotations

import pytest

from model.columns import column_name, parse_boolean


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("MonthlyIncome", "monthly_income"),
        ("monthly_income", "monthly_income"),
        ("Monthly Income", "monthly_income"),
        (" monthly-income ", "monthly_income"),
        ("NumCompaniesWorked", "num_companies_worked"),
        ("Over18", "over18"),
        ("\ufeffAge", "age"),
        ("ClientID", "client_id"),
    ],
)
def test_headers_of_any_manner_name_one_column(header: str, name: str) -> None:
    """CamelCase, spaces, dashes and a byte-order mark do not matter."""
    assert column_name(header) == name


@pytest.mark.parametrize(
    ("word", "value"), [("Yes", True), ("no", False), ("TRUE", True), ("false", False), ("1", True), (" 0 ", False)]
)
def test_booleans_are_read_as_people_write_them(word: str, value: bool) -> None:
    """Yes/No, true/false and 1/0 are booleans in any case."""
    assert parse_boolean(word) is value


def test_another_word_is_not_a_boolean() -> None:
    """A word that is neither is refused and named."""
    with pytest.raises(ValueError, match="maybe"):
        parse_boolean("maybe")
