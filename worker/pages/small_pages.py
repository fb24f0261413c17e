"""The columns of a page of few rows as lines of JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared.pages.errors import NulRefused
from shared.pages.layout import Dtype, Missing
from shared.pages.lines import INFINITY, MINUS_INFINITY, NAN, NAT, TIME, TIME_UTC, parse_line, split_lines
from worker.pages.columns import FeatureColumn, States
from worker.pages.narrow import filled

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_MARKS = {mark: dict([mark]) for mark in (NAN, NAT, INFINITY, MINUS_INFINITY)}
_ABSENT = {Missing.NONE: None, Missing.NAN: _MARKS[NAN], Missing.NAT: _MARKS[NAT]}

_MISSING = {None: Missing.NONE, NAN: Missing.NAN, NAT: Missing.NAT}
_INFINITE = {INFINITY: np.inf, MINUS_INFINITY: -np.inf}
_DTYPES = {bool: Dtype.BOOL, int: Dtype.INT64, float: Dtype.FLOAT64, str: Dtype.TEXT}
_MARKED_DTYPES = {"$": Dtype.FLOAT64, TIME: Dtype.DATETIME, TIME_UTC: Dtype.DATETIME_UTC}
_NUMPY = {Dtype.BOOL: np.bool_, Dtype.INT64: np.int64, Dtype.FLOAT64: np.float64}


def write_lines(columns: Sequence[FeatureColumn], rows: int) -> bytes:
    """A line per row; before them one that names the dtypes of columns without any value. Raises NulRefused."""
    unknown, cells = {}, []
    for number, column in enumerate(columns):
        states = column.states()
        if not rows or (states is not None and states.all()):
            unknown[str(number)] = column.dtype
        cells.append(_cells(column, states))
    lines: list[Any] = [unknown] if unknown else []
    lines += zip(*cells, strict=True) if cells else [()] * rows
    return "".join(f"{_JSON.encode(line)}\n" for line in lines).encode()


def _cells(column: FeatureColumn, states: States | None) -> list[Any]:
    cells: list[Any]
    if column.words is not None:
        cells = _texts(column, states)
    elif column.dtype is Dtype.FLOAT64:
        cells = column.values.tolist()
        for row in np.flatnonzero(np.isinf(column.values)).tolist():
            cells[row] = _MARKS[INFINITY if cells[row] > 0 else MINUS_INFINITY]
    elif column.dtype in (Dtype.INT64, Dtype.BOOL):
        cells = column.values.tolist()
    else:
        name = TIME if column.dtype is Dtype.DATETIME else TIME_UTC
        cells = [{name: microseconds} for microseconds in column.values.view(np.int64).tolist()]
    if states is not None:
        for row in np.flatnonzero(states).tolist():
            cells[row] = _ABSENT[Missing(int(states[row]))]
    return cells


def _texts(column: FeatureColumn, states: States | None) -> list[Any]:
    """A text per row, and anything where there is none."""
    present = None if states is None else states == Missing.PRESENT
    if present is not None and not present.any():
        return [None] * len(column)
    words = column.words
    assert words is not None
    codes = filled(column.values, present)
    if len(words) > 2 * len(codes):  # not all words of a large page for a few rows of it
        codes, words = np.arange(len(codes)), words.take(pa.array(codes))
    texts = words.to_pylist()
    cells = [texts[code] for code in codes.tolist()]
    if any("\x00" in text for text in cells):
        raise NulRefused
    return cells


def read_lines(body: bytes) -> list[FeatureColumn]:
    """The columns of a page of few rows. Raises ValueError, OverflowError."""
    unknown, lines = split_lines(body)
    rows = [parse_line(line) for line in lines]
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(unknown)
    return [_column(column, unknown.get(number)) for number, column in enumerate(cells)]


def _column(cells: Sequence[Any], dtype: Dtype | None) -> FeatureColumn:
    kinds = {_dtype_of(cell) for cell in cells if not _is_missing(cell)}
    if dtype is not None:
        kinds.add(dtype)
    if len(kinds) != 1:
        raise ValueError(f"a column's values are of {len(kinds)} types")
    dtype = kinds.pop()
    states = np.array([_MISSING[cell] if _is_missing(cell) else Missing.PRESENT for cell in cells], np.uint8)
    missing = states if states.any() else None
    if dtype is Dtype.TEXT:
        words = pa.array([cell if isinstance(cell, str) else "" for cell in cells], pa.string())
        return FeatureColumn(dtype, np.arange(len(cells), dtype=np.int32), missing, words)
    if dtype in _NUMPY:
        values = [0 if _is_missing(cell) else _INFINITE.get(cell, cell) for cell in cells]
        return FeatureColumn(dtype, np.array(values, _NUMPY[dtype]), missing)
    times = np.array([0 if _is_missing(cell) else cell[1] for cell in cells], np.int64)
    return FeatureColumn(dtype, times.view("datetime64[us]"), missing)


def _is_missing(cell: Any) -> bool:
    return cell is None or cell in (NAN, NAT)


def _dtype_of(cell: Any) -> Dtype:
    return _MARKED_DTYPES[cell[0]] if isinstance(cell, tuple) else _DTYPES[type(cell)]
