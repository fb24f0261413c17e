"""The torture's own reader of pages agrees with the service's writer, which it shares no code with."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.torture.checking.page_reader import NoPage, read_page
from worker.pages.encode import encode_features
from worker.pages.from_arrow import from_arrow

_WORDS = pa.dictionary(pa.int32(), pa.string())


def _page(columns: list[tuple[list[Any], pa.DataType]]) -> bytes:
    arrays = [from_arrow(pa.array(values, kind)) for values, kind in columns]
    return encode_features(arrays, len(columns[0][0]))


@pytest.mark.parametrize("rows", [1, 7, 63, 64, 65, 1000])
@pytest.mark.parametrize("gap", [0, 1, 3])
def test_a_page_is_read_as_it_was_written(rows: int, gap: int) -> None:
    """Small pages and large ones, with and without missing cells, give back every value."""

    def lacking(values: list[Any]) -> list[Any]:
        return [None if gap and n % gap == 0 else value for n, value in enumerate(values)]

    columns = [
        lacking([20 + n % 40 for n in range(rows)]),
        lacking([n * 100_003 - 5 for n in range(rows)]),
        lacking([n * 100_003 + 10_000_000.0 for n in range(rows)]),
        lacking(["Sales" if n % 3 else "Research & Development" for n in range(rows)]),
        lacking([n % 2 == 0 for n in range(rows)]),
        lacking([f"each its own ü{n}" for n in range(rows)]),
    ]
    kinds = [pa.int64(), pa.int64(), pa.float64(), _WORDS, pa.bool_(), pa.string()]
    assert read_page(_page(list(zip(columns, kinds, strict=True)))) == list(zip(*columns, strict=True))


@pytest.mark.parametrize("data", [b"", b"\x02\x01[]\n", b"\x01\x09", b"\x01\x03no frame"])
def test_what_is_no_page_is_named(data: bytes) -> None:
    """Bytes that are no page are an error of one kind, never a strange row."""
    with pytest.raises(NoPage):
        read_page(data)
