"""Which rows of a batch can be scored, and why the others cannot: the signature's checks, a column at a time."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from shared.models.feature import EXACT_INTEGER, INT8_MAX, INT8_MIN
from shared.models.signature import FeatureKind, FeatureSpec, Signature, check_value
from shared.status import RowError
from worker.scoring.answers import StatedError
from worker.scoring.feature_reader import Rows, columns_of

_UNKNOWN = StatedError(RowError.UNKNOWN_CLIENT, "there is no such client")
_ANY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - stands for any
_FINITE = (-sys.float_info.max, sys.float_info.max)
_FINITE32 = (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))


def find_errors(rows: Rows, signature: Signature) -> dict[int, StatedError]:
    """The stated error of each row that cannot be scored, by row number. Empty when all can."""
    errors: dict[int, StatedError] = {}
    if not rows.is_known.all():
        errors.update(dict.fromkeys(map(int, np.flatnonzero(~rows.is_known)), _UNKNOWN))
    for spec, column in zip(signature.features, columns_of(rows.features), strict=True):
        if _is_fine(spec, column):
            continue
        for number, value in enumerate(_values(spec, column)):
            problem = check_value(spec, value, is_quoted=False)
            if problem is not None and number not in errors:
                errors[number] = StatedError(RowError(problem.code), problem.detail)
    return errors


def _values(spec: FeatureSpec, column: pa.Array) -> list[Any]:
    """The values to look at one by one. A time is fine unless it is missing, and may be beyond Python's years."""
    if spec.kind is FeatureKind.DATETIME:
        return [_ANY_TIME if is_valid else None for is_valid in column.is_valid().to_pylist()]
    return list(column.to_pylist())


def _is_fine(spec: FeatureSpec, column: pa.Array) -> bool:
    """Whether every value of the column passes `check_value`, found out without looking at each from Python."""
    if column.null_count and not spec.nullable:
        return False
    if spec.kind in (FeatureKind.BOOLEAN, FeatureKind.DATETIME):
        return True
    if spec.kind is FeatureKind.CATEGORY:
        return not spec.categories or set(_words(column)) <= {None, *spec.categories}
    if column.null_count:
        column = column.drop_null()
    if not len(column):
        return True
    # In numpy: of a few rows, as single predictions are, a call of Arrow's takes ten times as long as its work.
    values = column.to_numpy(zero_copy_only=False)
    least, most = values.min(), values.max()  # not a number when any is
    floor, ceiling = _ends(spec)
    lowest = floor if spec.minimum is None else spec.minimum
    highest = ceiling if spec.maximum is None else spec.maximum
    return bool(lowest <= least and most <= highest)


def _ends(spec: FeatureSpec) -> tuple[float, float]:
    """The least and the most that the feature's own dtype can carry."""
    if spec.kind is FeatureKind.INTEGER:
        return (-EXACT_INTEGER, EXACT_INTEGER) if spec.is_exact_to_2_53 else (INT8_MIN, INT8_MAX)
    return _FINITE32 if spec.dtype == "float32" else _FINITE


def _words(column: pa.Array) -> list[str | None]:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words: list[str | None] = encoded.dictionary.to_pylist()
    return words
