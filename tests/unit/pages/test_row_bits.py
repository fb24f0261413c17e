"""Bits for rows of a page: in PostgreSQL's order, and taken away one by one."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from worker.pages.row_bits import pack_rows, without_rows


def rows_of(packed: str) -> list[int]:
    """As `get_bit` counts them."""
    content = base64.b64decode(packed)
    return [number for number in range(8 * len(content)) if content[number // 8] >> number % 8 & 1]


@pytest.mark.parametrize("gone", [[0], [7], [8, 13], [15, 16, 21]], ids=str)
def test_a_row_is_taken_away_and_no_other(gone: list[int]) -> None:
    """Of any byte, and of any bit of it; a row that is not meant stays so."""
    there = [0, 1, 7, 8, 9, 13, 15, 21]
    packed = pack_rows(np.array(there), 22)
    assert rows_of(packed) == there
    assert rows_of(without_rows(packed, gone)) == [row for row in there if row not in gone]
