"""Which rows of a batch can be scored, and why the others cannot: the signature's checks, a column at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.signature import FeatureKind, FeatureSpec, Signature, check_value
from shared.status import RowError
from worker.answers import StatedError
from worker.rows import Rows

_UNKNOWN = StatedError(RowError.UNKNOWN_CLIENT, "there is no such client")


def find_errors(rows: Rows, signature: Signature) -> dict[int, StatedError]:
    """The stated error of each row that cannot be scored, by row number. Empty when all can."""
    errors: dict[int, StatedError] = {}
    if rows.client_versions.null_count:
        missing = rows.client_versions.is_null().to_numpy(zero_copy_only=False) & ~rows.features_given
        errors.update(dict.fromkeys(map(int, np.flatnonzero(missing)), _UNKNOWN))
    for spec in signature.features:
        column = rows.features[spec.name].combine_chunks()
        for number in map(int, np.flatnonzero(_suspects(spec, column))):
            if number not in errors:
                errors.update(_explain(spec, number, column))
    return errors


def _suspects(spec: FeatureSpec, column: pa.Array) -> npt.NDArray[np.bool_]:
    """Rows that a whole-column check finds wrong; `_explain` then says what is wrong with each."""
    suspect = np.zeros(len(column), dtype=np.bool_)
    if column.null_count and not spec.nullable:
        suspect |= column.is_null().to_numpy(zero_copy_only=False)
    if spec.kind is FeatureKind.CATEGORY and spec.categories:
        known = pc.is_in(column, value_set=pa.array(spec.categories, pa.string()))
        suspect |= ~pc.or_(known, column.is_null()).to_numpy(zero_copy_only=False)
    if spec.kind is FeatureKind.NUMBER:
        suspect |= ~pc.fill_null(pc.is_finite(column), True).to_numpy(zero_copy_only=False)
    if spec.minimum is not None:
        suspect |= pc.fill_null(pc.less(column, spec.minimum), False).to_numpy(zero_copy_only=False)
    if spec.maximum is not None:
        suspect |= pc.fill_null(pc.greater(column, spec.maximum), False).to_numpy(zero_copy_only=False)
    return suspect


def _explain(spec: FeatureSpec, number: int, column: pa.Array) -> dict[int, StatedError]:
    problem = check_value(spec, column[number].as_py())
    return {number: StatedError(RowError(problem.code), problem.detail)} if problem else {}
