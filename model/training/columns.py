"""Which columns of the rows are features, and of what kind: told by their types and values, never by their names.

Whatever is left out is left out with a reason, which the card repeats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from model.errors import DataRefused
from shared.models.signature import FeatureKind, FeatureSpec

MOST_CATEGORIES = 50  # a column with more words is open: the rarer ones are taken together
_LEAST_COUNTED = 100  # rows below which numbers that are all different prove nothing


@dataclass(frozen=True, slots=True)
class Columns:
    """The features in column order, and why each other column is left out."""

    features: tuple[FeatureSpec, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def choose_columns(rows: pd.DataFrame, target: str, *, drop: Collection[str] = ()) -> Columns:
    """The features among the columns of `rows` but `target` and those in `drop`.

    Numbers are nullable, as every recipe imputes them; words and booleans are so where the rows have gaps. Raises
    DataRefused where a column is named that there is not, or no feature is left.
    """
    unknown = [name for name in (target, *drop) if name not in rows]
    if unknown:
        raise DataRefused(
            f"The data has no column {', '.join(map(repr, unknown))}. It has: {', '.join(map(str, rows.columns[:40]))}"
        )
    features: list[FeatureSpec] = []
    left_out = dict.fromkeys(drop, "left out as asked")
    for name in rows.columns:
        if name == target or name in drop:
            continue
        found = _feature(str(name), rows[name])
        if isinstance(found, str):
            left_out[str(name)] = found
        else:
            features.append(found)
    if not features:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataRefused(f"No column is left to learn from. {reasons}")
    return Columns(tuple(features), left_out)


def training_frame(rows: pd.DataFrame, features: tuple[FeatureSpec, ...]) -> pd.DataFrame:
    """The features in signature order, in the types that a worker gives the estimator.

    Whole numbers are int64, or float64 where they may be missing; words object with NaN; booleans bool, or object with
    NaN; times datetime64[us]. Raises DataRefused for a missing value where the signature allows none.
    """
    return pd.DataFrame({spec.name: _typed(rows[spec.name], spec) for spec in features})


def _typed(column: pd.Series, spec: FeatureSpec) -> pd.Series:
    if not spec.nullable and column.isna().any():
        raise DataRefused(f"{spec.name} is missing in some rows, which the signature does not allow.")
    if spec.kind in (FeatureKind.INTEGER, FeatureKind.NUMBER):
        whole = spec.kind is FeatureKind.INTEGER and not spec.nullable
        return column.astype(np.int64 if whole else np.float64)
    if spec.kind is FeatureKind.BOOLEAN:
        return column.astype(object).where(column.notna(), np.nan) if spec.nullable else column.astype(bool)
    if spec.kind is FeatureKind.CATEGORY:
        return column.astype(object).where(column.notna(), np.nan)
    times: pd.Series = column if column.dt.tz is None else column.dt.tz_convert("UTC")
    dtype: Any = spec.dtype
    return times.astype(dtype)


def _feature(name: str, column: pd.Series) -> FeatureSpec | str:
    """The feature in a column, or the reason to leave it out."""
    known = column.dropna()
    if known.empty:
        return "empty in every row"
    if isinstance(column.dtype, pd.CategoricalDtype):
        column, known = column.astype(object), known.astype(object)
    if _holds_lists(known):
        return "neither numbers, words, booleans nor times"
    if known.nunique() == 1 and not _is_word_or_gap(column, known):
        return _constant(column, known)
    return _kind(name, column, known)


def _is_word_or_gap(column: pd.Series, known: pd.Series) -> bool:
    """Whether a gap says something: of words it is learnt from as another word, elsewhere it is imputed."""
    return len(known) < len(column) and set(map(type, known)) == {str}


def _constant(column: pd.Series, known: pd.Series) -> str:
    value, gaps = f"{str(known.iloc[0])[:40]!r}", 1 - len(known) / len(column)
    if not gaps:
        return f"the same in every row: {value}"
    return f"the same in every row that has a value: {value}; the other {gaps:.1%} are imputed"


def _kind(name: str, column: pd.Series, known: pd.Series) -> FeatureSpec | str:
    has_gaps = len(known) < len(column)
    if types.is_bool_dtype(known) or set(map(type, known.head(1000))) <= {bool, np.bool_}:
        return FeatureSpec(name, FeatureKind.BOOLEAN, nullable=has_gaps)
    if types.is_numeric_dtype(known):
        return _number(name, known)
    if types.is_datetime64_any_dtype(known):
        return _time(name, known)
    if set(map(type, known.head(1000))) <= {str}:
        return _words(name, known, has_gaps=has_gaps)
    return "neither numbers, words, booleans nor times"


def _holds_lists(known: pd.Series) -> bool:
    return known.dtype == object and any(isinstance(value, (list, dict, set)) for value in known.head(1000))


def _number(name: str, known: pd.Series) -> FeatureSpec | str:
    if types.is_complex_dtype(known):
        return "complex numbers"
    if types.is_integer_dtype(known):
        if len(known) >= _LEAST_COUNTED and known.is_unique and int(known.max()) - int(known.min()) < 2 * len(known):
            return "it numbers the rows"
        return FeatureSpec(name, FeatureKind.INTEGER, nullable=True)
    if not np.isfinite(known.to_numpy(dtype=np.float64)).all():
        raise DataRefused(f"{name} is infinite in some rows: correct them, or leave the column out with --drop {name}")
    return FeatureSpec(name, FeatureKind.NUMBER, nullable=True)


def _time(name: str, known: pd.Series) -> FeatureSpec:
    dtype = "datetime64[us]" if known.dt.tz is None else "datetime64[us, UTC]"
    return FeatureSpec(name, FeatureKind.DATETIME, nullable=True, dtype=dtype)


def _words(name: str, known: pd.Series, *, has_gaps: bool) -> FeatureSpec | str:
    words = sorted(known.unique())
    if len(words) <= MOST_CATEGORIES:
        return FeatureSpec(name, FeatureKind.CATEGORY, nullable=has_gaps, categories=tuple(words))
    if len(words) > len(known) / 2:
        return f"{len(words):,} different texts in {len(known):,} rows: names or free text"
    return FeatureSpec(name, FeatureKind.CATEGORY, nullable=True)
