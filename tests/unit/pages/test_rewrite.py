"""A page anew without some rows: nothing of them is left, and nothing else changed."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.pages.errors import RowOutOfRange
from shared.pages.layout import Dtype
from shared.pages.opening import open_page
from shared.pages.read_row import read_row
from tests.page_columns import NONE, cells_of, column_of, pages
from worker.pages.columns import FeatureColumn
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features
from worker.pages.rewrite import rewrite_without

# One person's values, and how each could stand in a body.
NUMBER, DOUBLE, TIME = 1_234_567_890_123_456_789, 0.123456789012345, 1_712_345_678_901_234
HERS: list[tuple[Dtype, Any, list[Any]]] = [
    (Dtype.INT64, NUMBER, [1, 2**62]),
    (Dtype.INT64, 987_654, [5, 6]),  # above all others: the width comes from it
    (Dtype.INT64, -987_654, [5, 6]),  # below all others: the base is it
    (Dtype.FLOAT64, DOUBLE, [0.1 + 0.2, 1e300]),
    (Dtype.FLOAT64, 9876.54, [1.0, 2.5]),
    (Dtype.TEXT, "Rumpelstilzchen", ["Hans", "Grete"]),
    (Dtype.DATETIME, TIME, [0, 2**60]),
]
TRACES = [
    b"Rumpelstilzchen",
    struct.pack("<q", NUMBER),
    str(NUMBER).encode(),
    struct.pack("<d", DOUBLE),
    b"0.123456789012345",
    struct.pack("<q", TIME),
    str(TIME).encode(),
    struct.pack("<i", 987_654),
    struct.pack("<i", -987_654),
    b"987654",
    b"9876.54",
    struct.pack("<i", 987_654 - 5),
    struct.pack("<i", 987_654 + 6),
    struct.pack("<I", 98_765_4),
]


def body_of(page: bytes) -> bytes:
    return open_page(page)[1]


@pytest.mark.parametrize("texts_differ", [False, True])
@pytest.mark.parametrize("rows", [2, 40, 64, 1000])
def test_nothing_of_the_person_is_left(rows: int, texts_differ: bool) -> None:
    """Not in the dictionary, not as a base, not as a width, in a body that is no longer compressed."""
    columns = []
    for dtype, hers, others in HERS:
        cells = [
            f"{others[0]} {row}" if dtype is Dtype.TEXT and texts_differ else others[row % 2] for row in range(rows)
        ]
        cells[1] = hers
        columns.append(column_of(dtype, cells))
    page = encode_features(columns, rows)
    found = [trace for trace in TRACES if trace in body_of(page)]
    assert len(found) >= 4  # the test can see them
    left = rewrite_without(page, [1])
    assert [trace for trace in TRACES if trace in body_of(left)] == []
    without = [column_of(column.dtype, _dropped(cells_of_python(column), [1])) for column in columns]
    assert left == encode_features(without, rows)  # the very page that would be if she had never been in it


def cells_of_python(column: FeatureColumn) -> list[Any]:
    cells = cells_of(column)
    return [float.fromhex(cell) if column.dtype is Dtype.FLOAT64 and isinstance(cell, str) else cell for cell in cells]


def _dropped(cells: list[Any], rows: list[int]) -> list[Any]:
    return [NONE if row in rows else cell for row, cell in enumerate(cells)]


@given(pages(), st.sets(st.integers(0, 199)))
@settings(max_examples=200)
def test_the_other_rows_stay_as_they_are(page: tuple[list[FeatureColumn], int], chosen: set[int]) -> None:
    """With their numbers, types and values; the dropped ones have no value in any column."""
    columns, rows = page
    dropped = sorted(row for row in chosen if row < rows)
    left = rewrite_without(encode_features(columns, rows), dropped)
    decoded = decode_features(left)
    assert [column.dtype for column in decoded] == [column.dtype for column in columns]
    assert [cells_of(column) for column in decoded] == [_dropped(cells_of(column), dropped) for column in columns]
    for row in dropped[:3]:
        assert read_row(left, row) == [None] * len(columns)


@pytest.mark.parametrize("rows", [3, 100])
def test_a_row_that_is_not_there_is_named(rows: int) -> None:
    """Nothing is rewritten on a wrong number, and none is counted from the end."""
    for wrong in (rows, -1):
        with pytest.raises(RowOutOfRange, match=f"no row {wrong}"):
            rewrite_without(encode_features([column_of(Dtype.INT64, [1] * rows)], rows), [0, wrong])
