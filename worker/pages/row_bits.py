"""Some rows of a page, a bit for each: 10,000 rows are 1,250 bytes, however many of them are meant.

As text it is base64. Bit r of the first byte and so on is row r, counted from the lowest bit of each byte, as
PostgreSQL's `get_bit` counts them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def pack_rows(numbers: npt.NDArray[np.intp], rows: int) -> str:
    """The rows of these numbers, of a page of so many."""
    bits = np.zeros(rows, dtype=np.bool_)
    bits[numbers] = True
    return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()


def without_rows(packed: str, numbers: Iterable[int]) -> str:
    """The same without the rows of these numbers. Raises ValueError on what is no base64."""
    content = bytearray(base64.b64decode(packed, validate=True))
    for number in numbers:
        content[number // 8] &= ~(1 << number % 8)
    return base64.b64encode(content).decode()
