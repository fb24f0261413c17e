"""PostgreSQL's binary COPY format for columns of fixed width: one numpy array is the whole message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.postgres.copy_in import BINARY_HEADER, BINARY_TRAILER


def encode_binary(columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The COPY data of `columns`, arrays of n numbers each without nulls, in the order of the mapping.

    The width of each array's type must be that of its database column: int16 smallint, int32 integer, int64 bigint,
    float64 double precision.
    """
    fields: list[tuple[str, str]] = [("field count", ">i2")]
    for name, column in columns.items():
        fields += [(f"{name} length", ">i4"), (name, f">{column.dtype.str[1:]}")]
    rows = np.empty(len(next(iter(columns.values()))), dtype=fields)
    rows["field count"] = len(columns)
    for name, column in columns.items():
        rows[f"{name} length"] = column.dtype.itemsize
        rows[name] = column
    return BINARY_HEADER + rows.tobytes() + BINARY_TRAILER
