"""Texts of a column: a dictionary with codes, or one text after the other where too many differ."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.pages.errors import NulRefused
from shared.pages.layout import Form
from worker.pages.columns import FeatureColumn
from worker.pages.narrow import NOTHING, Narrow, filled, narrow


class Texts(NamedTuple):
    """A column's texts as they are written: codes (of Form.DICTIONARY alone), then the words."""

    form: Form
    codes: Narrow
    words: int
    content: bytes


def write_texts(column: FeatureColumn, present: npt.NDArray[np.bool_] | None) -> Texts:
    """The texts of the rows that have one, and nothing of any other. Raises NulRefused."""
    codes, words = _used(filled(column.values, present), column.words)
    if 2 * len(words) > len(codes):
        words = words.take(pa.array(codes, mask=None if present is None else ~present)).fill_null("")
        return Texts(Form.TEXT, NOTHING, len(words), _content(words))
    return Texts(Form.DICTIONARY, narrow(codes), len(words), _content(words))


def _used(codes: npt.NDArray[Any], words: pa.Array) -> tuple[npt.NDArray[Any], pa.Array]:
    """The codes and the words without those words that no row has."""
    if len(words) <= 256:  # a search in bytes ends at the first find: a third of the time of counting
        content = codes.astype(np.uint8).tobytes()
        if all(code in content for code in range(len(words))):
            return codes, words
    used = np.bincount(codes, minlength=len(words)) > 0
    if used.all():
        return codes, words
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return places[codes], words.filter(pa.array(used))


def _content(words: pa.Array) -> bytes:
    """Where each word ends (u32, with a 0 before the first), then the words in UTF-8."""
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, np.int32, len(words) + 1, 4 * words.offset)
    first, last = int(ends[0]), int(ends[-1])
    text = bytes(memoryview(data)[first:last]) if last > first else b""
    if b"\x00" in text:
        raise NulRefused
    steps: bytes = (ends - ends[0]).astype("<u4").tobytes()
    return steps + text
