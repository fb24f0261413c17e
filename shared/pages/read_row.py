"""One row of a page, in pure Python: nothing but that row's cells is looked at once the page is decompressed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from struct import unpack_from
from typing import Any

from shared.pages.errors import RowOutOfRange, damage_named
from shared.pages.layout import (
    DTYPES,
    ENTRY,
    HEADER,
    TIME_UNITS,
    Dtype,
    Entry,
    Form,
    Kind,
    Mask,
    Missing,
    mask_size,
    numbers_size,
)
from shared.pages.lines import INFINITY, MINUS_INFINITY, NAN, NAT, TIME, parse_line, split_lines
from shared.pages.opening import Data, open_page

Value = bool | int | float | str | datetime | None

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a time without a zone is meant
_CYCLE = 146_097  # days of 400 years, after which the calendar repeats
_MARKED: dict[Any, Value] = {NAN: math.nan, NAT: None, INFINITY: math.inf, MINUS_INFINITY: -math.inf}
_NUMBERS = {8: "<B", 16: "<H", 32: "<I", 64: "<q"}


def read_row(data: Data, row: int) -> list[Value]:
    """The values of one row in signature order. `row` counts from 0.

    A cell without a value is None, or nan where a number or a text has NaN. A time that Python's datetime cannot hold
    (before the year 1, after 9999) is its ISO text. Raises PageFormatUnknown, PageDamaged, RowOutOfRange.
    """
    kind, body = open_page(data)
    with damage_named():
        return _from_columns(body, row) if kind is Kind.COLUMNS else _from_lines(body, row)


def count_rows(data: Data) -> int:
    """How many rows the page has. Raises PageFormatUnknown, PageDamaged."""
    kind, body = open_page(data)
    with damage_named():
        if kind is Kind.COLUMNS:
            rows, _ = HEADER.unpack_from(body)
            return int(rows)
        return len(split_lines(body)[1])


def _from_lines(body: bytes, row: int) -> list[Value]:
    _, lines = split_lines(body)
    if not 0 <= row < len(lines):
        raise RowOutOfRange(row, len(lines))
    return [_unmarked(value) if isinstance(value, tuple) else value for value in parse_line(lines[row])]


def _unmarked(mark: tuple[str, Any]) -> Value:
    if mark in _MARKED:
        return _MARKED[mark]
    name, microseconds = mark
    return _time(microseconds, Dtype.DATETIME if name == TIME else Dtype.DATETIME_UTC)


def _from_columns(body: bytes, row: int) -> list[Value]:
    rows, columns = HEADER.unpack_from(body)
    if not 0 <= row < rows:
        raise RowOutOfRange(row, rows)
    entries = memoryview(body)[HEADER.size : HEADER.size + ENTRY.size * columns]
    if len(entries) != ENTRY.size * columns:
        raise ValueError("its header ends too early")
    return [_cell(body, Entry._make(entry), row, rows) for entry in ENTRY.iter_unpack(entries)]


def _cell(body: bytes, entry: Entry, row: int, rows: int) -> Value:
    state = _missing(body, entry, row)
    if state != Missing.PRESENT:
        return math.nan if state == Missing.NAN else None
    offset = entry.offset + mask_size(entry.mask, rows)
    if entry.form == Form.TEXT:
        return _word(body, entry, offset, row)
    number = _number(body, entry, offset, row)
    if entry.form == Form.DICTIONARY:
        return _word(body, entry, offset + numbers_size(entry.bits, rows), number)
    if entry.form == Form.DECIMAL:
        return float(number / 10**entry.scale)
    if entry.form == Form.DOUBLE:
        return float(unpack_from("<d", number.to_bytes(8, "little", signed=True))[0])
    if entry.form != Form.NUMBER:
        raise ValueError(f"there is no form {entry.form} with values")
    return _typed(number, DTYPES[entry.dtype], entry.scale)


def _missing(body: bytes, entry: Entry, row: int) -> int:
    if entry.mask == Mask.FULL:
        return Missing.PRESENT
    if entry.mask == Mask.BITS:
        return entry.missing if body[entry.offset + (row >> 3)] >> (row & 7) & 1 else Missing.PRESENT
    return Missing(body[entry.offset + row] if Mask(entry.mask) is Mask.BYTES else entry.missing)


def _number(body: bytes, entry: Entry, offset: int, row: int) -> int:
    if entry.bits == 0:
        return entry.base
    if entry.bits == 1:
        return entry.base + (body[offset + (row >> 3)] >> (row & 7) & 1)
    if entry.bits not in _NUMBERS:
        raise ValueError(f"there are no numbers of {entry.bits} bits")
    return entry.base + int(unpack_from(_NUMBERS[entry.bits], body, offset + entry.bits // 8 * row)[0])


def _word(body: bytes, entry: Entry, offset: int, place: int) -> str:
    if not 0 <= place < entry.words:
        raise ValueError(f"a column has {entry.words} words and names word {place}")
    first, last = unpack_from("<II", body, offset + 4 * place)
    words = offset + 4 * (entry.words + 1)
    if not first <= last <= len(body) - words:
        raise ValueError("a word ends outside its column")
    return body[words + first : words + last].decode()


def _typed(number: int, dtype: Dtype, scale: int) -> Value:
    if dtype is Dtype.INT64:
        return number
    return bool(number) if dtype is Dtype.BOOL else _time(number * TIME_UNITS[scale], dtype)


def _time(microseconds: int, dtype: Dtype) -> datetime | str:
    zone = UTC if dtype is Dtype.DATETIME_UTC else None
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=zone)
    except OverflowError:
        return _far_time(microseconds) + ("" if zone is None else "+00:00")


def _far_time(microseconds: int) -> str:
    """The ISO text of a time of any year; the year before 1 is 0, as in ISO 8601."""
    cycles, rest = divmod(microseconds, _CYCLE * 86_400_000_000)
    near = _EPOCH + timedelta(microseconds=rest)
    year = near.year + 400 * cycles
    return f"{year:05d}{near.isoformat()[4:]}" if year < 0 else f"{year:04d}{near.isoformat()[4:]}"
