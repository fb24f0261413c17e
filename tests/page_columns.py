"""Columns of pages for tests: made of cells, and drawn by hypothesis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from shared.pages.layout import Dtype, Missing
from worker.pages.columns import FeatureColumn

NONE, NAN, NAT = Missing.NONE, Missing.NAN, Missing.NAT

INTEGERS = [0, 1, -1, 255, 256, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), NONE]
FLOATS = [0.0, -0.0, 5e-324, -2.5, 0.1, 1e15, 123456789012.34, 1.7976931348623157e308, math.inf, -math.inf, NONE, NAN]
TEXTS = ["", "a", "Łódź", "👩‍🚀", '{"$":"NaN"}', "NaN", "null", '"\n\\', "x" * 300, "\x01", NONE, NAN]
TIMES = [0, 1, -1, 1_700_000_000_000_000, 86_400_000_000, 2**62, -(2**62), NONE, NAT]

_NUMPY = {Dtype.INT64: np.int64, Dtype.FLOAT64: np.float64, Dtype.BOOL: np.bool_}

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
_DRAWN: dict[Dtype, Any] = {
    Dtype.INT64: st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300) | st.sampled_from([NONE]),
    Dtype.FLOAT64: st.floats(allow_nan=False)
    | st.decimals(-10_000, 10_000, places=3).map(float)
    | st.sampled_from([NONE, NAN, -0.0]),
    Dtype.BOOL: st.sampled_from([True, False, NONE, NAN]),
    Dtype.TEXT: _TEXT | st.sampled_from([NONE, NAN]),
    # the least int64 is numpy's NaT itself
    Dtype.DATETIME: st.integers(-(2**63) + 1, 2**63 - 1)
    | st.integers(-100_000, 100_000).map(lambda day: day * 86_400_000_000)
    | st.integers(0, 2**31).map(lambda second: second * 1_000_000)
    | st.sampled_from([NONE, NAT]),
}
_DRAWN[Dtype.DATETIME_UTC] = _DRAWN[Dtype.DATETIME]


def column_of(dtype: Dtype, cells: list[Any]) -> FeatureColumn:
    """A column of these cells: values of Python (times in microseconds), and a `Missing` where there is none."""
    states = np.array([cell if isinstance(cell, Missing) else 0 for cell in cells], np.uint8)
    missing = states if states.any() else None
    plain = [0 if isinstance(cell, Missing) else cell for cell in cells]
    if dtype is Dtype.TEXT:
        words = list(dict.fromkeys(cell for cell in cells if isinstance(cell, str)))
        places = {word: place for place, word in enumerate(words)}
        codes = np.array([places.get(cell, 77) if isinstance(cell, str) else 77 for cell in cells], np.int32)
        return FeatureColumn(dtype, codes, missing, pa.array(words, pa.string()))
    if dtype in _NUMPY:
        return FeatureColumn(dtype, np.array(plain, _NUMPY[dtype]), missing)
    return FeatureColumn(dtype, np.array(plain, np.int64).view("datetime64[us]"), missing)


def cells_of(column: FeatureColumn) -> list[Any]:
    """The cells of a column in a form whose equality is that of every bit."""
    states = column.states()
    states = np.zeros(len(column), np.uint8) if states is None else states
    values = column.values
    if column.words is not None:
        words = column.words.to_pylist()
        plain = [words[code] if code < len(words) else None for code in values.tolist()]
    else:
        plain = [float.hex(v) for v in values.tolist()] if values.dtype.kind == "f" else _plain(values)
    return [Missing(state) if state else cell for state, cell in zip(states.tolist(), plain, strict=True)]


def _plain(values: Any) -> list[Any]:
    return list((values.view(np.int64) if values.dtype.kind == "M" else values).tolist())


@st.composite
def pages(draw: st.DrawFn, rows: tuple[int, ...] = (0, 1, 2, 5, 63, 64, 65, 200)) -> tuple[list[FeatureColumn], int]:
    """Columns of all dtypes with few or many different cells, and their number of rows."""
    count = draw(st.sampled_from(rows))
    columns = []
    for dtype in draw(st.lists(st.sampled_from(list(Dtype)), max_size=5)):
        pool = draw(st.lists(_DRAWN[dtype], min_size=1, max_size=8))
        picks = np.random.default_rng(draw(st.integers(0, 1000))).integers(0, len(pool), count)
        columns.append(column_of(dtype, [pool[pick] for pick in picks.tolist()]))
    return columns, count
