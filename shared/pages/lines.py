"""A page of few rows: a JSON array per row, one line each, and the marks for what JSON has no word for."""

from __future__ import annotations

import json
from typing import Any

from shared.pages.layout import Dtype

# A mark is an object with one member, which no value of a feature is: {"$": "NaN"}, {"t": microseconds}.
NAN = ("$", "NaN")
NAT = ("$", "NaT")
INFINITY = ("$", "Infinity")
MINUS_INFINITY = ("$", "-Infinity")
NAMED = frozenset({NAN, NAT, INFINITY, MINUS_INFINITY})
TIME, TIME_UTC = "t", "z"  # microseconds since 1970, without and with a time zone

_PLAIN = (type(None), bool, int, float, str, tuple)


def split_lines(body: bytes) -> tuple[dict[int, Dtype], list[bytes]]:
    """The dtypes of columns that have no value in any row, by column number, and a line per row."""
    lines = body.split(b"\n")
    if lines.pop() != b"":
        raise ValueError("the last line does not end")
    if not lines or not lines[0].startswith(b"{"):
        return {}, lines
    dtypes = json.loads(lines[0].decode())
    return {int(number): Dtype(name) for number, name in dtypes.items()}, lines[1:]


def parse_line(line: bytes) -> list[Any]:
    """The values of one row, with marks as pairs. Raises ValueError."""
    values = json.loads(line.decode(), object_pairs_hook=_mark, parse_constant=_refuse)
    if not isinstance(values, list) or not all(isinstance(value, _PLAIN) for value in values):
        raise ValueError("a row is no array of values")
    return values


def _mark(pairs: list[tuple[str, Any]]) -> tuple[str, Any]:
    if len(pairs) == 1:
        name, value = pairs[0]
        if name == "$" and isinstance(value, str) and pairs[0] in NAMED:
            return pairs[0]
        if name in (TIME, TIME_UTC) and type(value) is int:
            return pairs[0]
    raise ValueError("a row holds an object that is no mark")


def _refuse(word: str) -> None:
    raise ValueError(f"a row holds {word}")
