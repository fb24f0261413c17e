"""A page anew without the values of some rows: what erasure does to the features."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from shared.pages.errors import RowOutOfRange
from shared.pages.opening import Data
from shared.pages.read_row import count_rows
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features


def rewrite_without(data: Data, row_numbers: Collection[int]) -> bytes:
    """The page in which these rows have no value in any column. They stay as rows, so that no other row moves.

    Everything is written anew from the other rows: a dictionary has their words alone, a base and a width come from
    their numbers. A mark over the old bytes would leave the values in them. The dtypes stay.
    Raises RowOutOfRange, PageFormatUnknown, PageDamaged.
    """
    rows = count_rows(data)
    dropped = np.zeros(rows, np.bool_)
    for row in row_numbers:
        if not 0 <= row < rows:
            raise RowOutOfRange(row, rows)
        dropped[row] = True
    return encode_features([column.without(dropped) for column in decode_features(data)], rows)
