"""Which clients, as it is typed: `--where tariff=basic --where 'balance>=30'`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.arguments.quoted import QUOTED, unquoted
from cli.errors import UsageProblem
from shared.sources.filter_words import EQUAL, CannotSay, filter_of

Where = Annotated[
    list[str] | None,
    typer.Option(
        help="COLUMN=VALUE or COLUMN>=VALUE, may be repeated; equal values of one column are alternatives. "
        "COLUMN=null is NULL, COLUMN= an empty text, COLUMN='\"null\"' the word; numbers as 3000.5, days as 2024-02-01."
    ),
]
# A column whose name has a sign in it stands in double quotes.
_COMPARED = re.compile(rf"\s*(?P<column>{QUOTED}|[^<>=]+?)(?P<gap>\s*)(?P<sign><=|>=|=|<|>)(?P<value>.*)", re.DOTALL)
_SIGNS = {"<=": "lte", ">=": "gte", "<": "lt", ">": "gt"}
_EMPTY = "null"
_UNKNOWN_SIGN = re.compile(rf"(?:\s*{QUOTED}\s*|[^<>=]*?)(!=|<>)")


def read_condition(texts: Sequence[str]) -> dict[str, Any]:
    """{column: value}, with a list of values for a column that comes more than once, or a range {"gte": 30}."""
    try:
        return filter_of(_condition(text) for text in texts)
    except CannotSay as error:
        sign = next((typed for typed, name in _SIGNS.items() if name == error.sign), "")
        wrong = f"has {sign} twice" if sign else "cannot have both a value and a range"
        raise UsageProblem(f"--where: {error.column} {wrong}") from None


def _condition(text: str) -> tuple[str, str, Any]:
    unknown = _UNKNOWN_SIGN.match(text)
    if unknown is not None:
        raise UsageProblem(f"--where {text}: there is no {unknown[1]}; a column is compared by =, >=, >, <= or <")
    found = _COMPARED.fullmatch(text)
    if found is None:
        raise UsageProblem(f"--where {text}: write it as COLUMN=VALUE or COLUMN>=VALUE, such as tariff=basic")
    column, sign, value = unquoted(found["column"]), found["sign"], found["value"]
    if found["gap"] or sign != "=":
        value = value.lstrip()  # of `age < 40` the sign stands alone; other blanks are the value's
    if sign == "=":
        return column, EQUAL, None if value.lower() == _EMPTY else unquoted(value)
    return column, _SIGNS[sign], value
