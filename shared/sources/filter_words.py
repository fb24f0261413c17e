"""A filter that people say one condition at a time, on a command line or in a form, as the API takes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

EQUAL = ""  # the sign of a condition that names a value, or None for null; the others are gte, gt, lte and lt


class CannotSay(Exception):
    """A column has a limit of one kind twice, or a value beside a limit: one of them would be left out."""

    def __init__(self, column: str, sign: str) -> None:
        super().__init__(column)
        self.column = column
        self.sign = sign  # the limit that is there twice; EQUAL where a value is beside a limit


def filter_of(conditions: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
    """`{column: value}`, a list for a column with several, or its range `{"gte": 30}`, of (column, sign, value).

    Values stay as they are: the gateway knows the column's type. Raises CannotSay.
    """
    equal: dict[str, list[Any]] = {}
    ranges: dict[str, dict[str, Any]] = {}
    for column, sign, value in conditions:
        if sign == EQUAL:
            equal.setdefault(column, []).append(value)
        elif sign in ranges.setdefault(column, {}):
            raise CannotSay(column, sign)
        else:
            ranges[column][sign] = value
    if both := sorted(equal.keys() & ranges.keys()):
        raise CannotSay(both[0], EQUAL)
    return {column: values[0] if len(values) == 1 else values for column, values in equal.items()} | ranges
