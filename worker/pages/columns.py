"""A column of features as the estimator gets it: values in numpy, texts in Arrow, and why a cell has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.pages.layout import Dtype, Missing

States = npt.NDArray[np.uint8]  # a `Missing` per row

_NO_VALUE = np.array([None, None, np.nan, None], dtype=object)


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One feature of all rows of a page.

    `values` has one element per row: int64, float64, bool, datetime64[us] (in UTC where the dtype has a zone), or
    int32 places in `words` where the dtype is text. What it holds where a value is missing does not matter.
    `missing` says why a cell has no value, a `Missing` per row; None means that every cell has one. A NaN in float64
    and a NaT in datetime64 count as missing by themselves.
    """

    dtype: Dtype
    values: npt.NDArray[Any]
    missing: States | None = None
    words: pa.Array | None = None  # string, without nulls; may hold words that no row has

    def __len__(self) -> int:
        return len(self.values)

    def part(self, first: int, last: int) -> FeatureColumn:
        """The rows from `first` on, before `last`."""
        missing = None if self.missing is None else self.missing[first:last]
        return FeatureColumn(self.dtype, self.values[first:last], missing, self.words)

    def states(self) -> States | None:
        """`missing` with the NaN and NaT among the values; None where every cell has a value."""
        states = self.missing
        if self.dtype is Dtype.FLOAT64:
            states = _with(states, np.isnan(self.values), Missing.NAN)
        elif self.values.dtype.kind == "M":
            states = _with(states, np.isnat(self.values), Missing.NAT)
        return states if states is not None and states.any() else None

    def to_objects(self) -> list[Any]:
        """The cells as Python values: a missing one is None, or nan where it is NaN; times are datetime64[us]."""
        states = self.states()
        if self.words is not None:
            words = np.array([*self.words.to_pylist(), None], dtype=object)
            cells = words[self.values if states is None else np.where(states == Missing.PRESENT, self.values, -1)]
        else:
            cells = np.fromiter(self.values if self.values.dtype.kind == "M" else self.values.tolist(), dtype=object)
        if states is not None:
            cells = np.where(states == Missing.PRESENT, cells, _NO_VALUE[states])
        return list(cells)

    def to_numpy(self) -> npt.NDArray[Any]:
        """The estimator's input: the column's dtype, or object where that has no word for what is missing.

        A missing cell is NaN in float64, NaT in datetime64, and None or nan in an array of objects.
        """
        states = self.states()
        if self.dtype is Dtype.TEXT or (states is not None and self.dtype in (Dtype.INT64, Dtype.BOOL)):
            return np.fromiter(self.to_objects(), dtype=object, count=len(self))
        if states is None:
            return self.values
        nothing: Any = np.nan if self.dtype is Dtype.FLOAT64 else np.datetime64("NaT", "us")
        return np.where(states == Missing.PRESENT, self.values, nothing)

    def to_arrow(self) -> pa.Array:
        """The column for a compiled path: what is missing is null, whatever it was; texts are a dictionary."""
        states = self.states()
        mask = None if states is None else states != Missing.PRESENT
        if self.words is None:
            zone = "UTC" if self.dtype is Dtype.DATETIME_UTC else None
            kind = pa.timestamp("us", zone) if self.values.dtype.kind == "M" else None
            return pa.array(self.values, type=kind, mask=mask)
        return pa.DictionaryArray.from_arrays(pa.array(self.values, pa.int32(), mask=mask), self.words)

    def without(self, rows: npt.NDArray[np.bool_]) -> FeatureColumn:
        """The column in which these rows have no value (None). Their values are still in `values`."""
        states = self.missing
        states = np.zeros(len(self), np.uint8) if states is None else states.copy()
        states[rows] = Missing.NONE
        return FeatureColumn(self.dtype, self.values, states, self.words)


def _with(states: States | None, found: npt.NDArray[np.bool_], missing: Missing) -> States | None:
    if not found.any():
        return states
    states = np.zeros(len(found), np.uint8) if states is None else states
    return np.where((states == Missing.PRESENT) & found, np.uint8(missing), states)
