"""Arrow's columns, as a batch is read, become columns of a page."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shared.pages.errors import PageRefused
from shared.pages.layout import Dtype, Missing
from tests.page_columns import NAN, NAT, NONE, cells_of
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features
from worker.pages.from_arrow import from_arrow

TIME = datetime(2024, 2, 29, 12, tzinfo=UTC)
MICROSECONDS = int(TIME.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("array", "dtype", "cells"),
    [
        (pa.array([1, None, 2**63 - 1]), Dtype.INT64, [1, NONE, 2**63 - 1]),
        (pa.array([1.5, None, float("nan")]), Dtype.FLOAT64, ["0x1.8000000000000p+0", NAN, NAN]),
        (pa.array([True, None, False]), Dtype.BOOL, [True, NONE, False]),
        (pa.array(["b", None, ""]), Dtype.TEXT, ["b", NONE, ""]),
        (pa.array(["b", None, ""], pa.large_string()), Dtype.TEXT, ["b", NONE, ""]),
        (pa.array(["b", None, "b"]).dictionary_encode(), Dtype.TEXT, ["b", NONE, "b"]),
        (pa.array(["b", None, "b"]).dictionary_encode("encode"), Dtype.TEXT, ["b", NONE, "b"]),
        (pa.array(["b", None, "b"], pa.dictionary(pa.int8(), pa.string())), Dtype.TEXT, ["b", NONE, "b"]),
        (pa.array([date(1970, 1, 2), None]), Dtype.DATETIME, [86_400_000_000, NAT]),
        (pa.array([MICROSECONDS, None], pa.timestamp("us")), Dtype.DATETIME, [MICROSECONDS, NAT]),
        (pa.array([TIME, None], pa.timestamp("s", "Europe/Zurich")), Dtype.DATETIME_UTC, [MICROSECONDS, NAT]),
        (pa.chunked_array([pa.array([1]), pa.array([2, None])]), Dtype.INT64, [1, 2, NONE]),
        (pa.chunked_array([], pa.string()), Dtype.TEXT, []),
        (pa.array([], pa.bool_()), Dtype.BOOL, []),
    ],
)
def test_each_type_has_its_dtype(array: Any, dtype: Dtype, cells: list[Any]) -> None:
    """And its own word for null: NaN in a float, NaT in a time, None elsewhere."""
    column = from_arrow(array)
    assert (column.dtype, cells_of(column)) == (dtype, cells)


@pytest.mark.parametrize("rows", [5, 100])
@pytest.mark.parametrize("start", [0, 1, 8, 11])
def test_a_slice_is_the_slice(rows: int, start: int) -> None:
    """Arrow's slices share the memory of the whole; a page has the slice alone."""
    count = start + rows + 3
    arrays = [
        pa.array(range(count)),
        pa.array([None if row % 3 == 0 else row / 4 for row in range(count)]),
        pa.array([row % 5 == 0 for row in range(count)]),
        pa.array([None if row % 4 == 0 else row % 2 == 0 for row in range(count)]),
        pa.array([None if row % 4 == 1 else f"{row}" for row in range(count)]),
        pa.array([None if row % 4 == 1 else f"{row % 3}" for row in range(count)]).dictionary_encode(),
        pa.array(range(count), pa.timestamp("us")),
    ]
    sliced = [array.slice(start, rows) for array in arrays]
    decoded = decode_features(encode_features([from_arrow(array) for array in sliced], rows))
    assert [column.to_arrow().to_pylist() for column in decoded] == [array.to_pylist() for array in sliced]


@pytest.mark.parametrize("rows", [4, 100])
def test_a_cell_that_did_not_convert_is_missing_alone(rows: int) -> None:
    """An error row keeps the other features, and nothing of what was refused is in the page."""
    refused = np.arange(rows) == 2
    texts = pa.array(["sound", "sound", "SECRET", *["sound"] * (rows - 3)]).dictionary_encode()
    columns = [from_arrow(texts, refused=refused), from_arrow(pa.array(range(rows)))]
    decoded = decode_features(page := encode_features(columns, rows))
    assert cells_of(decoded[0]) == ["sound", "sound", NONE, *["sound"] * (rows - 3)]
    assert cells_of(decoded[1]) == list(range(rows))
    assert b"SECRET" not in b"".join(bytes(column.words.buffers()[2]) for column in decoded[:1])
    assert b"SECRET" not in page


def test_a_null_of_a_text_can_be_nan() -> None:
    """As the encoder was fitted; a refused cell stays None."""
    column = from_arrow(pa.array(["a", None, "b"]), null=Missing.NAN, refused=np.array([False, False, True]))
    assert cells_of(column) == ["a", NAN, NONE]


def test_a_time_is_never_rounded() -> None:
    """Nanoseconds that microseconds cannot hold are an error, not a loss."""
    with pytest.raises(pa.ArrowInvalid):
        from_arrow(pa.array([1], pa.timestamp("ns")))


def test_an_int32_is_refused() -> None:
    """The dtypes of a page are few; whoever reads a batch converts to them."""
    with pytest.raises(PageRefused, match="int32"):
        from_arrow(pa.array([1], pa.int32()))
