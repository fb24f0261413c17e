"""What the estimator is given: a batch's table as typed columns, and these as a pandas frame.

This is the one way from values to the estimator. Scoring, registration, `models check` and a replay go it, and all of
them can start at the columns of a stored page as well. A dtype follows from the signature, never from a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from shared.models.feature import EXACT_INTEGER, category_of
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.pages.layout import Dtype, Missing
from worker.pages.columns import FeatureColumn
from worker.pages.from_arrow import from_arrow

_NOTHING = {"nan": Missing.NAN, "none": Missing.NONE}
_DOUBLES = ("float64", "float32")
_NUMBERS = (pa.int64().id, pa.float64().id)


def input_columns(features: pa.Table, signature: Signature) -> list[FeatureColumn]:
    """The estimator's input, and what is stored of it: the columns of a table in signature order, converted.

    A whole number that a double cannot hold, in a column of doubles, is None: its row has an error.
    """
    return [_input_column(spec, column) for spec, column in zip(signature.features, _chunks(features), strict=True)]


def _chunks(table: pa.Table) -> list[pa.Array]:
    """The columns of a table of at most one chunk, as arrays."""
    batches = table.combine_chunks().to_batches()
    if not batches:
        return [pa.array([], field.type) for field in table.schema]
    return list(batches[0].columns)


def _input_column(spec: FeatureSpec, column: pa.Array) -> FeatureColumn:
    if spec.kind is FeatureKind.INTEGER and spec.dtype in _DOUBLES:
        return _whole_doubles(spec, column)
    if spec.kind is FeatureKind.BOOLEAN and spec.dtype == "float64":
        return from_arrow(column.cast(pa.int8()).cast(pa.float64()))
    if spec.dtype == "float32":
        found = from_arrow(column.cast(pa.float64()))
        return FeatureColumn(found.dtype, _as_float32(found.values), found.missing)
    if spec.kind is FeatureKind.CATEGORY or spec.dtype == "object":
        return from_arrow(column, null=_NOTHING[spec.missing])
    return from_arrow(column)


def _whole_doubles(spec: FeatureSpec, column: pa.Array) -> FeatureColumn:
    # In numpy: of a few rows, as single predictions are, a cast of Arrow's takes twenty times as long as its work.
    found = from_arrow(column if column.type.id in _NUMBERS else column.cast(pa.int64()), null=Missing.NAN)
    numbers, missing = found.values, found.missing
    if len(numbers) and not (numbers.min() >= -EXACT_INTEGER and numbers.max() <= EXACT_INTEGER):
        missing = np.zeros(len(numbers), np.uint8) if missing is None else missing
        refused = ((numbers < -EXACT_INTEGER) | (numbers > EXACT_INTEGER)) & (missing == Missing.PRESENT)
        missing = np.where(refused, np.uint8(Missing.NONE), missing) if refused.any() else found.missing
    values = numbers.astype(np.float64)
    return FeatureColumn(Dtype.FLOAT64, _as_float32(values) if spec.dtype == "float32" else values, missing)


def _as_float32(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):  # such a row has an error
        return values.astype(np.float32).astype(np.float64)


def to_frame(columns: Sequence[FeatureColumn], signature: Signature) -> pd.DataFrame:
    """The pandas frame that the estimator gets, from `input_columns` or from a page's stored columns."""
    data = {spec.name: _values(spec, column) for spec, column in zip(signature.features, columns, strict=True)}
    # A copy: what an estimator writes into its input must not reach what was read, which the page of it is made from.
    return pd.DataFrame(data, copy=True)


def _values(spec: FeatureSpec, column: FeatureColumn) -> Any:
    if spec.dtype.startswith("category"):
        return _categorical(spec, column)
    if spec.dtype == "object":
        # Said again, because pandas makes strings of its own of an array of objects.
        return pd.Series(_objects(column), dtype=object)
    if spec.dtype == "float32":
        return column.to_numpy().astype(np.float32)
    if spec.dtype.endswith("UTC]"):
        return pd.Series(column.to_numpy()).dt.tz_localize("UTC")
    return column.to_numpy()


def _objects(column: FeatureColumn) -> npt.NDArray[Any]:
    """Texts or booleans as Python objects, None or nan where there is none."""
    states = column.states()
    if column.words is None:
        cells = column.values.astype(object)
    elif len(column.words):
        words = np.array(column.words.to_pylist(), dtype=object)
        # What a code says where a value is missing does not matter, and may be nonsense.
        cells = words[column.values if states is None else np.where(states == Missing.PRESENT, column.values, 0)]
    else:
        cells = np.empty(len(column), dtype=object)
    if states is not None:
        cells[states == Missing.NONE] = None
        cells[states == Missing.NAN] = np.nan
    return cells


def _categorical(spec: FeatureSpec, column: FeatureColumn) -> Any:
    places = {word: place for place, word in enumerate(spec.categories)}
    words = [] if column.words is None else column.words.to_pylist()
    table = np.array([*(places.get(word, -1) for word in words), -1], dtype=np.intp)
    states = column.states()
    codes = column.values if states is None else np.where(states == Missing.PRESENT, column.values, -1)
    return pd.Categorical.from_codes(table[codes], categories=_categories(spec))


def _categories(spec: FeatureSpec) -> pd.Index:
    """The categories as they were when the model was trained: a booster compares them, and their type."""
    known = [category_of(spec.dtype, word) for word in spec.categories]
    return pd.Index(known) if spec.dtype == "category" else pd.Index(known, dtype=spec.dtype[len("category[") : -1])
