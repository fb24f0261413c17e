"""Features as scored to the bytes of a page. docs/page-format.md has every byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from shared.pages.errors import PageTooLarge
from shared.pages.layout import (
    DTYPES,
    ENTRY,
    FORMAT,
    HEADER,
    MOST_BYTES,
    MOST_ROWS,
    SMALL_ROWS,
    Dtype,
    Entry,
    Form,
    Kind,
    Mask,
    Missing,
)
from worker.pages.columns import FeatureColumn, States
from worker.pages.narrow import NOTHING, Narrow, filled, narrow, narrow_doubles, narrow_times
from worker.pages.small_pages import write_lines
from worker.pages.texts import write_texts

_LEVEL = 1
_WORTH_PACKING = 256  # bytes of a small page; below, a frame was never found to be smaller


def encode_features(columns: Sequence[FeatureColumn], rows: int, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The page of these columns, each of `rows` rows, in signature order; at most `most_bytes` before it is packed.

    Every value comes back bit for bit, save that all NaNs are one. Raises NulRefused, PageTooLarge.
    """
    if any(len(column) != rows for column in columns):
        raise ValueError(f"a page of {rows} rows has columns of {sorted({len(column) for column in columns})}")
    if rows > MOST_ROWS:
        raise PageTooLarge("rows", rows, MOST_ROWS)
    if rows < SMALL_ROWS:
        return _small(_checked(write_lines(columns, rows), most_bytes))
    return bytes((FORMAT, Kind.COLUMNS)) + _frame(_checked(_body(columns, rows), most_bytes))


def _checked(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise PageTooLarge("bytes of features", len(body), most)
    return body


def _small(body: bytes) -> bytes:
    if len(body) >= _WORTH_PACKING:
        frame = _frame(body)
        if len(frame) < len(body):
            return bytes((FORMAT, Kind.PACKED_LINES)) + frame
    return bytes((FORMAT, Kind.LINES)) + body


def _frame(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(body)


def _body(columns: Sequence[FeatureColumn], rows: int) -> bytes:
    entries, parts = [], []
    offset = HEADER.size + ENTRY.size * len(columns)
    for column in columns:
        entry, content = _write(column)
        entries.append(ENTRY.pack(*entry._replace(offset=offset)))
        parts += content
        offset += sum(map(len, content))
    return b"".join((HEADER.pack(rows, len(columns)), *entries, *parts))


def _write(column: FeatureColumn) -> tuple[Entry, list[bytes]]:
    """A column's entry, without its offset, and its bytes."""
    states = column.states()
    mask, missing, masked = _mask(states)
    form, scale, numbers, words, texts = Form.ABSENT, 0, NOTHING, 0, b""
    if states is None or not states.all():
        present = None if states is None else states == Missing.PRESENT
        if column.dtype is Dtype.TEXT:
            form, numbers, words, texts = write_texts(column, present)
        else:
            form, scale, numbers = _numbers(column.dtype, filled(column.values, present))
    entry = Entry(
        dtype=DTYPES.index(column.dtype),
        form=form,
        bits=numbers.bits,
        scale=scale,
        mask=mask,
        missing=missing,
        reserved=0,
        offset=0,
        words=words,
        base=numbers.base,
    )
    return entry, [masked, numbers.content, texts]


def _mask(states: States | None) -> tuple[Mask, Missing, bytes]:
    if states is None:
        return Mask.FULL, Missing.PRESENT, b""
    absent = states != Missing.PRESENT
    missing = Missing(int(states.max()))
    if np.count_nonzero(states == missing) < np.count_nonzero(absent):
        return Mask.BYTES, Missing.PRESENT, states.tobytes()
    if absent.all():
        return Mask.EMPTY, missing, b""
    return Mask.BITS, missing, np.packbits(absent, bitorder="little").tobytes()


def _numbers(dtype: Dtype, values: npt.NDArray[Any]) -> tuple[Form, int, Narrow]:
    if dtype is Dtype.FLOAT64:
        return narrow_doubles(values)
    if dtype is Dtype.BOOL:
        return Form.NUMBER, 0, narrow(values.view(np.int8))
    return narrow_times(values.view(np.int64)) if values.dtype.kind == "M" else (Form.NUMBER, 0, narrow(values))
