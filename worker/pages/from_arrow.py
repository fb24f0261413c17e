"""Arrow's columns as columns of a page, without a Python object per row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.pages.errors import PageRefused
from shared.pages.layout import Dtype, Missing
from worker.pages.columns import FeatureColumn, States

_OWN_MISSING = {Dtype.FLOAT64: Missing.NAN, Dtype.DATETIME: Missing.NAT, Dtype.DATETIME_UTC: Missing.NAT}
_NUMBERS: dict[int, tuple[Dtype, Any]] = {
    pa.int64().id: (Dtype.INT64, np.int64),
    pa.float64().id: (Dtype.FLOAT64, np.float64),
}


def from_arrow(
    column: pa.Array | pa.ChunkedArray,
    *,
    null: Missing | None = None,
    refused: npt.NDArray[np.bool_] | None = None,
) -> FeatureColumn:
    """The column of a page made from one of int64, float64, bool, string, dictionary of string, date or timestamp.

    `null` is what a null stands for: by itself NaN in float64, NaT in a time, and None elsewhere; a text that the
    encoder was fitted with as NaN needs Missing.NAN. `refused` marks rows whose value did not convert in this column:
    they are stored as None, and whatever the column holds there is not. Raises PageRefused for another type.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    dtype, values, words, nulls = _parts(column)
    missing: States | None = None
    if nulls is not None:
        missing = nulls.view(np.uint8) * np.uint8(_OWN_MISSING.get(dtype, Missing.NONE) if null is None else null)
    if refused is not None and refused.any():
        missing = np.zeros(len(column), np.uint8) if missing is None else missing
        missing[refused] = Missing.NONE
    return FeatureColumn(dtype, values, missing, words)


def _parts(column: pa.Array) -> tuple[Dtype, npt.NDArray[Any], pa.Array | None, npt.NDArray[np.bool_] | None]:
    """Dtype, values, words and where the nulls are."""
    kind = column.type
    if kind.id in _NUMBERS:
        dtype, numpy_type = _NUMBERS[kind.id]
        return dtype, _values(column, numpy_type), None, _nulls(column)
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        encoded = _encoded(column)
        return Dtype.TEXT, _values(encoded.indices, np.int32), encoded.dictionary, _nulls(encoded.indices)
    if pa.types.is_boolean(kind):
        return Dtype.BOOL, _bits(column, 1), None, _nulls(column)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zone = getattr(kind, "tz", None)
        column = column.cast(pa.timestamp("us", zone))  # raises where it would lose digits
        dtype = Dtype.DATETIME if zone is None else Dtype.DATETIME_UTC
        return dtype, _values(column, np.int64).view("datetime64[us]"), None, _nulls(column)
    raise PageRefused(f"A page of features has no columns of type {kind}.")


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    """The column as codes of int32 into distinct strings without null."""
    if not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode()
    if column.dictionary.null_count or column.dictionary.type != pa.string():
        return column.cast(pa.string()).dictionary_encode()
    if column.indices.type != pa.int32():
        return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), column.dictionary)
    return column


def _values(column: pa.Array, dtype: Any) -> npt.NDArray[Any]:
    """The numbers in Arrow's own memory; anything where the column is null."""
    if not len(column):
        return np.empty(0, dtype)
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * np.dtype(dtype).itemsize)


def _nulls(column: pa.Array) -> npt.NDArray[np.bool_] | None:
    return ~_bits(column, 0) if column.null_count else None


def _bits(column: pa.Array, buffer: int) -> npt.NDArray[np.bool_]:
    """One of the column's bit fields, a bool per row."""
    if not len(column):
        return np.empty(0, np.bool_)
    packed = np.frombuffer(column.buffers()[buffer], np.uint8)
    bits = np.unpackbits(packed, count=column.offset + len(column), bitorder="little")
    return bits[column.offset :].view(np.bool_)
