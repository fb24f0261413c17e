"""The bytes of a page to its columns, the exact values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.pages.errors import damage_named
from shared.pages.layout import (
    DTYPES,
    ENTRY,
    HEADER,
    MOST_ROWS,
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
from shared.pages.opening import Data, open_page
from worker.pages.columns import FeatureColumn, States
from worker.pages.small_pages import read_lines

_STORED = {8: "<u1", 16: "<u2", 32: "<u4", 64: "<i8"}


def decode_features(data: Data) -> list[FeatureColumn]:
    """The columns of a page in signature order. Raises PageFormatUnknown, PageDamaged."""
    kind, body = open_page(data)
    with damage_named():
        return _read_columns(body) if kind is Kind.COLUMNS else read_lines(body)


def _read_columns(body: bytes) -> list[FeatureColumn]:
    rows, columns = HEADER.unpack_from(body)
    if rows > MOST_ROWS:
        raise ValueError(f"it claims {rows} rows")
    last = HEADER.size + ENTRY.size * columns
    if last > len(body):
        raise ValueError("its header ends too early")
    return [_column(body, Entry._make(entry), rows) for entry in ENTRY.iter_unpack(body[HEADER.size : last])]


def _column(body: bytes, entry: Entry, rows: int) -> FeatureColumn:
    dtype, form = DTYPES[entry.dtype], Form(entry.form)
    if (form in (Form.DICTIONARY, Form.TEXT)) != (dtype is Dtype.TEXT) and form is not Form.ABSENT:
        raise ValueError(f"a column of {dtype} has the form {form.name}")
    missing = _states(body, entry, rows)
    if form is Form.ABSENT:
        return _absent(dtype, missing, rows)
    offset = entry.offset + mask_size(entry.mask, rows)
    if form is Form.TEXT:
        if entry.words != rows:
            raise ValueError(f"a column has {entry.words} words for {rows} rows")
        return FeatureColumn(dtype, np.arange(rows, dtype=np.int32), missing, _words(body, entry, offset))
    numbers = _numbers(body, entry, offset, rows)
    if form is Form.DICTIONARY:
        words = _words(body, entry, offset + numbers_size(entry.bits, rows))
        if rows and not 0 <= numbers.min() <= numbers.max() < len(words):
            raise ValueError("a column names a word that it has not")
        return FeatureColumn(dtype, numbers.astype(np.int32), missing, words)
    return FeatureColumn(dtype, _values(numbers, form, entry.scale, dtype), missing)


def _absent(dtype: Dtype, missing: States | None, rows: int) -> FeatureColumn:
    if missing is None or not missing.all():
        raise ValueError("a column has rows with a value, and no values")
    if dtype is Dtype.TEXT:
        return FeatureColumn(dtype, np.zeros(rows, np.int32), missing, pa.array([], pa.string()))
    form = Form.DOUBLE if dtype is Dtype.FLOAT64 else Form.NUMBER
    return FeatureColumn(dtype, _values(np.zeros(rows, np.int64), form, 0, dtype), missing)


def _states(body: bytes, entry: Entry, rows: int) -> States | None:
    mask = Mask(entry.mask)
    if mask is Mask.FULL:
        return None
    if mask is Mask.EMPTY:
        return np.full(rows, Missing(entry.missing), np.uint8)
    packed = np.frombuffer(body, np.uint8, mask_size(mask, rows), entry.offset)
    if mask is Mask.BITS:
        return np.unpackbits(packed, count=rows, bitorder="little") * np.uint8(Missing(entry.missing))
    if packed.max(initial=0) > max(Missing):
        raise ValueError("a cell lacks its value in a way that there is not")
    return packed


def _numbers(body: bytes, entry: Entry, offset: int, rows: int) -> npt.NDArray[np.int64]:
    if entry.bits == 0:
        return np.full(rows, entry.base, np.int64)
    if entry.bits == 1:
        packed = np.frombuffer(body, np.uint8, numbers_size(1, rows), offset)
        return np.unpackbits(packed, count=rows, bitorder="little").astype(np.int64) + entry.base
    if entry.bits not in _STORED:
        raise ValueError(f"there are no numbers of {entry.bits} bits")
    numbers = np.frombuffer(body, _STORED[entry.bits], rows, offset).astype(np.int64)
    return numbers + entry.base if entry.base else numbers


def _values(numbers: npt.NDArray[np.int64], form: Form, scale: int, dtype: Dtype) -> npt.NDArray[Any]:
    if (form is Form.NUMBER) == (dtype is Dtype.FLOAT64):
        raise ValueError(f"a column of {dtype} has the form {form.name}")
    if form is Form.DECIMAL:
        return numbers / 10.0**scale
    if form is Form.DOUBLE:
        return numbers.view(np.float64)
    if dtype is Dtype.INT64:
        return numbers
    return numbers != 0 if dtype is Dtype.BOOL else (numbers * TIME_UNITS[scale]).view("datetime64[us]")


def _words(body: bytes, entry: Entry, offset: int) -> pa.Array:
    size = 4 * (entry.words + 1)
    start = offset + size
    if start > len(body):
        raise ValueError("a column's words end too early")
    ends = pa.py_buffer(body[offset:start])  # a copy, for Arrow wants its integers aligned
    words = pa.StringArray.from_buffers(entry.words, ends, pa.py_buffer(body).slice(start))
    words.validate(full=True)
    return words
