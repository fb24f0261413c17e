"""Columns and the bytes of a page by themselves: parts, types of cells, and what only a damaged page can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard

from shared.pages import opening
from shared.pages.errors import PageDamaged
from shared.pages.layout import ENTRY, FORMAT, HEADER, Dtype, Entry, Form, Kind
from shared.pages.opening import open_page
from shared.pages.read_row import read_row
from tests.page_columns import NAN, NAT, NONE, cells_of, column_of
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features

CELLS: list[tuple[Dtype, list[Any]]] = [
    (Dtype.INT64, [1, 2, 3, 4]),
    (Dtype.INT64, [1, NONE, 3, NONE]),
    (Dtype.FLOAT64, [0.5, NAN, NONE, 2.5]),
    (Dtype.BOOL, [True, False, NONE, True]),
    (Dtype.TEXT, ["a", NONE, "b", NAN]),
    (Dtype.DATETIME, [1, NAT, NONE, 4]),
]


@pytest.mark.parametrize(("dtype", "cells"), CELLS)
def test_a_part_of_a_column_has_its_rows_alone(dtype: Dtype, cells: list[Any]) -> None:
    """With what is missing in them."""
    assert cells_of(column_of(dtype, cells).part(1, 3)) == cells_of(column_of(dtype, cells[1:3]))


@pytest.mark.parametrize(
    ("dtype", "cells", "types"),
    [
        (Dtype.INT64, [1, NONE], [int, type(None)]),
        (Dtype.FLOAT64, [0.5, NAN], [float, float]),
        (Dtype.BOOL, [True, NONE], [bool, type(None)]),
        (Dtype.TEXT, ["a", NAN], [str, float]),
        (Dtype.DATETIME, [1, NAT], [np.datetime64, type(None)]),
    ],
)
def test_cells_as_objects_are_values_of_python(dtype: Dtype, cells: list[Any], types: list[type]) -> None:
    """And times are numpy's, whose years have no end."""
    assert [type(cell) for cell in column_of(dtype, cells).to_objects()] == types


@pytest.mark.parametrize("rows", [2, 100])
@pytest.mark.parametrize(
    ("dtype", "to_estimator", "in_arrow"),
    [
        (Dtype.INT64, "object", "int64"),
        (Dtype.FLOAT64, "float64", "double"),
        (Dtype.BOOL, "object", "bool"),
        (Dtype.TEXT, "object", "dictionary<values=string, indices=int32, ordered=0>"),
        (Dtype.DATETIME, "datetime64[us]", "timestamp[us]"),
        (Dtype.DATETIME_UTC, "datetime64[us]", "timestamp[us, tz=UTC]"),
    ],
)
def test_a_column_without_any_value_keeps_its_type(dtype: Dtype, to_estimator: str, in_arrow: str, rows: int) -> None:
    """For the estimator and for a compiled path."""
    (column,) = decode_features(encode_features([column_of(dtype, [NONE] * rows)], rows))
    assert (column.to_numpy().dtype, str(column.to_arrow().type)) == (to_estimator, in_arrow)


def test_letters_of_any_alphabet_stand_in_a_small_page_as_they_are() -> None:
    """In UTF-8, without escapes that take three times the room."""
    page = encode_features([column_of(Dtype.TEXT, ["Łódź"])], 1)
    assert open_page(page) == (Kind.LINES, '["Łódź"]\n'.encode())


def test_a_frame_has_a_checksum() -> None:
    """So that a bit that has turned over is seen."""
    page = encode_features([column_of(Dtype.INT64, list(range(100)))], 100)
    assert zstandard.get_frame_parameters(page[2:]).has_checksum
    damaged = page[:-1] + bytes((page[-1] ^ 1,))
    with pytest.raises(PageDamaged):
        decode_features(damaged)


def test_a_frame_may_claim_from_nothing_to_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one byte above it, or no size at all, is damage."""
    monkeypatch.setattr(opening, "MOST_BYTES", 5)
    head = bytes((FORMAT, Kind.PACKED_LINES))
    for content in (b"", b"[1]\n", b"[12]\n"):
        assert open_page(head + zstandard.compress(content)) == (Kind.PACKED_LINES, content)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"[1]\n")
    for frame, size in ((zstandard.compress(b"[123]\n"), 6), (unsized, -1)):
        with pytest.raises(PageDamaged, match=f"claims a size of {size} bytes"):
            open_page(head + frame)


@pytest.mark.parametrize("base", [-1, 1])
def test_a_place_outside_the_words_of_a_column_is_damage(base: int) -> None:
    """Before the first word as well as behind the last."""
    _, body = open_page(encode_features([column_of(Dtype.TEXT, ["a", "b"] * 50)], 100))
    entry = Entry._make(ENTRY.unpack_from(body, HEADER.size))
    assert (entry.form, entry.bits, entry.base) == (Form.DICTIONARY, 1, 0)
    moved = body[: HEADER.size] + ENTRY.pack(*entry._replace(base=base)) + body[HEADER.size + ENTRY.size :]
    page = bytes((FORMAT, Kind.COLUMNS)) + zstandard.compress(moved)
    row = 0 if base < 0 else 1
    with pytest.raises(PageDamaged, match=f"a column has 2 words and names word {row + base}"):
        read_row(page, row)
    with pytest.raises(PageDamaged, match="names a word that it has not"):
        decode_features(page)
