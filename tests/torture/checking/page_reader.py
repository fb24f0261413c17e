"""A second reader of page format 1, written from docs/page-format.md alone: it shares no code with the service.

It reads the types that the torture's clients have: integers, whole numbers as floats, booleans and texts.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import zstandard

Cell = int | float | bool | str | None
_NAN = {"$": "NaN"}  # no value, as the torture's estimators are given it
_LINES, _PACKED_LINES, _COLUMNS = 1, 2, 3
_HEADER, _ENTRY = struct.Struct("<II"), struct.Struct("<BBBBBBHIIq")
_INT64, _BOOL = 0, 2  # dtypes, by number; all others that come by here are texts
_ABSENT, _NUMBER, _DECIMAL, _DICTIONARY, _TEXT = 0, 1, 2, 4, 5  # forms of a column
_FULL, _BITS, _BYTES, _EMPTY = 0, 1, 2, 3  # masks
_WIDTHS = {8: "B", 16: "H", 32: "I", 64: "q"}


class NoPage(ValueError):
    """The bytes are no page of format 1, or hold what the torture's clients do not have."""


def read_page(data: bytes) -> list[tuple[Cell, ...]]:
    """The rows of a page, each with its values in signature order. Raises NoPage."""
    if len(data) < 2 or data[0] != 1:
        raise NoPage(f"it begins with {data[:2]!r}")
    kind, body = data[1], bytes(data[2:])
    if kind == _LINES:
        return _lines(body)
    if kind not in (_PACKED_LINES, _COLUMNS):
        raise NoPage(f"kind {kind}")
    try:
        body = zstandard.ZstdDecompressor().decompress(body)
        return _columns(body) if kind == _COLUMNS else _lines(body)
    except (zstandard.ZstdError, struct.error, IndexError, UnicodeDecodeError) as error:
        raise NoPage(str(error)) from error


def _lines(body: bytes) -> list[tuple[Cell, ...]]:
    rows = [json.loads(line) for line in body.decode().splitlines()]
    if rows and isinstance(rows[0], dict):  # the types of columns in which no row has a value
        rows = rows[1:]
    return [tuple(None if cell == _NAN else cell for cell in row) for row in rows]


def _columns(body: bytes) -> list[tuple[Cell, ...]]:
    rows, columns = _HEADER.unpack_from(body)
    entries = [_ENTRY.unpack_from(body, _HEADER.size + n * _ENTRY.size) for n in range(columns)]
    return list(zip(*(_column(body, entry, rows) for entry in entries), strict=True))


def _column(body: bytes, entry: tuple[int, ...], rows: int) -> list[Cell]:
    dtype, form, bits, scale, mask, _, _, place, words, base = entry
    is_there, place = _presence(body, mask, place, rows)
    values: Sequence[Cell]
    if form == _ABSENT:
        values = [None] * rows
    elif form == _TEXT:
        values = _words(body, place, words)
    else:
        numbers, place = _numbers(body, bits, place, rows, base)
        if form == _DICTIONARY:
            known = _words(body, place, words)
            values = [known[number] for number in numbers]
        elif form == _DECIMAL:
            values = [number / 10**scale for number in numbers]
        elif form == _NUMBER and dtype in (_INT64, _BOOL):
            values = [bool(number) for number in numbers] if dtype == _BOOL else numbers
        else:
            raise NoPage(f"a column of form {form} and type {dtype}")
    return [value if is_there(row) else None for row, value in enumerate(values)]


def _presence(body: bytes, mask: int, place: int, rows: int) -> tuple[Callable[[int], bool], int]:
    """Whether a row has a value, and where the column goes on."""
    if mask == _FULL:
        return lambda _: True, place
    if mask == _EMPTY:
        return lambda _: False, place
    if mask == _BITS:
        return lambda row: not body[place + row // 8] >> row % 8 & 1, place + (rows + 7) // 8
    if mask == _BYTES:
        return lambda row: body[place + row] == 0, place + rows
    raise NoPage(f"mask {mask}")


def _numbers(body: bytes, bits: int, place: int, rows: int, base: int) -> tuple[list[int], int]:
    if bits == 0:
        return [base] * rows, place
    if bits == 1:
        return [base + (body[place + row // 8] >> row % 8 & 1) for row in range(rows)], place + (rows + 7) // 8
    stored = struct.unpack_from(f"<{rows}{_WIDTHS[bits]}", body, place)
    return [base + number for number in stored], place + rows * bits // 8


def _words(body: bytes, place: int, count: int) -> list[str]:
    ends: tuple[Any, ...] = struct.unpack_from(f"<{count + 1}I", body, place)
    text = body[place + 4 * (count + 1) :]
    return [text[first:last].decode() for first, last in pairwise(ends)]
