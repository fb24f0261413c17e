from __future__ import annotations

import pytest

from model.columns import column_name


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
