"""Page format 1: the numbers and the fields that writer and readers share. docs/page-format.md explains each."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from struct import Struct
from typing import NamedTuple

FORMAT = 1
SMALL_ROWS = 64  # below that a page holds lines of JSON, from there on columns
MOST_ROWS = 1_000_000
MOST_BYTES = 1 << 28  # of a page after decompression
MOST_SCORED_BYTES = 1 << 26  # the same of a page that is written for a batch


class Kind(IntEnum):
    """The second byte of a page: what the others are."""

    LINES = 1  # a JSON array per row
    PACKED_LINES = 2  # the same in a zstd frame
    COLUMNS = 3  # columns, always in a zstd frame


class Dtype(StrEnum):
    """The type that a column has in the frame given to the estimator."""

    INT64 = "int64"
    FLOAT64 = "float64"
    BOOL = "bool"
    TEXT = "object"
    DATETIME = "datetime64[us]"
    DATETIME_UTC = "datetime64[us, UTC]"


DTYPES = tuple(Dtype)  # a column's entry has the position
TIME_UNITS = (1, 1_000_000, 86_400_000_000)  # microseconds: what the stored numbers of a time count, by the scale


class Missing(IntEnum):
    """What stands in a cell that has no value."""

    PRESENT = 0
    NONE = 1
    NAN = 2
    NAT = 3


class Form(IntEnum):
    """How a column's values are written."""

    ABSENT = 0  # no row has a value
    NUMBER = 1  # integers, booleans, times: the stored numbers themselves, of a time in its unit
    DECIMAL = 2  # doubles: stored number / 10**scale
    DOUBLE = 3  # doubles: the stored number is the double's 64 bits
    DICTIONARY = 4  # texts: the stored number is the place among the column's words
    TEXT = 5  # texts: nothing stored but the words, one per row


class Mask(IntEnum):
    """How a column says which cells have no value."""

    FULL = 0  # every cell has one
    BITS = 1  # a bit per row; all that lack a value lack it in the same way
    BYTES = 2  # a byte per row, a `Missing`
    EMPTY = 3  # no cell has one


class Entry(NamedTuple):
    """One column in the header of a page of columns."""

    dtype: int  # position in DTYPES
    form: int  # Form
    bits: int  # of a stored number: 0 (all are the base), 1, 8, 16, 32 (unsigned, the base is added) or 64 (signed)
    scale: int  # of Form.DECIMAL; of a time the position in TIME_UNITS
    mask: int  # Mask
    missing: int  # Missing, for Mask.BITS and Mask.EMPTY
    reserved: int  # zero
    offset: int  # where the column begins: mask, stored numbers, ends of words, words
    words: int  # how many
    base: int


HEADER = Struct("<II")  # rows, columns; the entries follow
ENTRY = Struct("<BBBBBBHIIq")


def mask_size(mask: int, rows: int) -> int:
    """Bytes of a column's mask."""
    if mask == Mask.BITS:
        return (rows + 7) // 8
    return rows if mask == Mask.BYTES else 0


def numbers_size(bits: int, rows: int) -> int:
    """Bytes of a column's stored numbers."""
    return (bits * rows + 7) // 8
