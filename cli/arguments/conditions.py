"""Which clients, as it is typed: `--where tariff=basic --where 'balance>=30'`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.errors import UsageProblem

Where = Annotated[
    list[str] | None,
    typer.Option(help="COLUMN=VALUE or COLUMN>=VALUE, may be repeated; equal values of one column are alternatives."),
]
_COMPARED = re.compile(r"(?P<column>[^<>=]+?)\s*(?P<sign><=|>=|=|<|>)\s*(?P<value>.*)", re.DOTALL)
_SIGNS = {"<=": "lte", ">=": "gte", "<": "lt", ">": "gt"}
_EMPTY = "null"


def read_condition(texts: Sequence[str]) -> dict[str, Any]:
    """{column: value}, with a list of values for a column that comes more than once, or a range {"gte": 30}."""
    equal: dict[str, list[Any]] = {}
    ranges: dict[str, dict[str, Any]] = {}
    for text in texts:
        found = _COMPARED.fullmatch(text)
        if found is None:
            raise UsageProblem(f"--where {text}: write it as COLUMN=VALUE or COLUMN>=VALUE, such as tariff=basic")
        column, sign, value = found["column"].strip(), found["sign"], found["value"].strip()
        if sign == "=":
            # Values go as they are written: the gateway knows the column's type, and we do not.
            equal.setdefault(column, []).append(None if value.lower() == _EMPTY else value)
        elif _SIGNS[sign] in ranges.setdefault(column, {}):
            raise UsageProblem(f"--where: {column} has {sign} twice")
        else:
            ranges[column][_SIGNS[sign]] = value
    both = sorted(set(equal) & set(ranges))
    if both:
        raise UsageProblem(f"--where: {both[0]} cannot have both a value and a range")
    return {column: values if len(values) > 1 else values[0] for column, values in equal.items()} | ranges
