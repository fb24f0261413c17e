"""Features as numbers, built from scikit-learn, numpy and pandas parts alone.

No function of ours is inside: an artefact unpickles without this repository, years from now too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from shared.models.signature import FeatureKind, FeatureSpec

_MOST_STEPS = 9  # a whole number of at most so many values is taken for a grade
MOST_OPEN_WORDS = 50
_DAY_0 = pd.Timestamp("2000-01-01")
_FRAME: Any = pd.DataFrame  # its methods unpickle wherever pandas is

Features = Sequence[FeatureSpec]
Part = tuple[str, Any, list[str]]


@dataclass(frozen=True, slots=True)
class Curves:
    """Numbers that a linear model shall see in more ways than one.

    `logged`: amounts and durations. The effect of one more fades, and a difference of logs is a ratio, so ratios need
    no features of their own. `steps`: grades, with the lowest value of each step: an indicator "at least this grade"
    lets every step weigh differently, and a grade above all that were seen counts as the highest.
    """

    logged: tuple[str, ...] = ()
    steps: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def find_curves(frame: pd.DataFrame, features: Features) -> Curves:
    """The curves that the values themselves suggest; no label is looked at.

    Whole numbers of three to nine values become steps, other numbers that are never negative are logged.
    """
    logged: list[str] = []
    steps: dict[str, tuple[float, ...]] = {}
    for spec in _numbers(features):
        known = frame[spec.name].dropna()
        values = sorted(known.unique())
        if spec.kind is FeatureKind.INTEGER and 3 <= len(values) <= _MOST_STEPS:
            steps[spec.name] = tuple(float(value) for value in values[1:])
        elif len(values) > _MOST_STEPS and values[0] >= 0:
            logged.append(spec.name)
    return Curves(tuple(logged), steps)


def for_trees(features: Features) -> ColumnTransformer:
    """Trees split on missing numbers and on category codes as they are."""
    closed = OrdinalEncoder(categories=_categories(features))
    rare = OrdinalEncoder(max_categories=MOST_OPEN_WORDS, handle_unknown="use_encoded_value", unknown_value=-1)
    return _columns(features, "passthrough", closed, rare, [_as_numbers()])


def for_linear(features: Features) -> ColumnTransformer:
    """Imputed numbers first, then times, one-hot categories and booleans."""
    closed = OneHotEncoder(categories=_categories(features), sparse_output=False)
    rare = OneHotEncoder(max_categories=MOST_OPEN_WORDS, handle_unknown="infrequent_if_exist", sparse_output=False)
    filled = [_as_numbers(), SimpleImputer(strategy="most_frequent", keep_empty_features=True)]
    return _columns(features, _median(), closed, rare, filled)


def with_curves(features: Features, curves: Curves) -> ColumnTransformer:
    """Adds logs and steps to the columns of `for_linear`: two numpy calls, whatever the number of rows."""
    place = {spec.name: index for index, spec in enumerate(_numbers(features))}
    steps = [(place[name], float(step)) for name, values in curves.steps.items() for step in values]
    at_least = partial(np.less_equal, np.array([step for _, step in steps]))
    added: list[tuple[str, Any, list[int]]] = []
    if curves.logged:
        added.append(("logs", FunctionTransformer(np.log1p), [place[name] for name in curves.logged]))
    if steps:
        added.append(("steps", FunctionTransformer(at_least), [index for index, _ in steps]))
    return ColumnTransformer([("as_is", "passthrough", slice(0, None)), *added])


def _columns(features: Features, numbers: Any, closed: Any, rare: Any, flags: list[Any]) -> ColumnTransformer:
    words = [spec for spec in features if spec.kind is FeatureKind.CATEGORY]
    booleans = [spec for spec in features if spec.kind is FeatureKind.BOOLEAN]
    parts: list[Part] = [
        ("numbers", numbers, [spec.name for spec in _numbers(features)]),
        ("categories", closed, [spec.name for spec in words if spec.categories]),
        ("open_categories", rare, [spec.name for spec in words if not spec.categories]),
        ("flags", "passthrough", [spec.name for spec in booleans if not spec.nullable]),
        ("flags_with_gaps", make_pipeline(*flags), [spec.name for spec in booleans if spec.nullable]),
        *_times(features, imputed=numbers != "passthrough"),
    ]
    return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0)


def _times(features: Features, *, imputed: bool) -> list[Part]:
    """Times as days since 2000."""
    zoned = {spec.name: "UTC" in spec.dtype for spec in features if spec.kind is FeatureKind.DATETIME}
    parts: list[Part] = []
    for name, has_zone in (("times", False), ("times_with_zone", True)):
        since = FunctionTransformer(_FRAME.sub, kw_args={"other": _DAY_0.tz_localize("UTC") if has_zone else _DAY_0})
        days = FunctionTransformer(_FRAME.div, kw_args={"other": pd.Timedelta(days=1)})
        chain: list[Any] = [since, days, *([_median()] if imputed else [])]
        parts.append((name, make_pipeline(*chain), [key for key, zone in zoned.items() if zone == has_zone]))
    return parts


def _numbers(features: Features) -> list[FeatureSpec]:
    return [spec for spec in features if spec.kind in (FeatureKind.INTEGER, FeatureKind.NUMBER)]


def _categories(features: Features) -> list[list[Any]]:
    closed = [spec for spec in features if spec.kind is FeatureKind.CATEGORY and spec.categories]
    return [[*spec.categories, *([np.nan] if spec.nullable else [])] for spec in closed]


def _median() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _as_numbers() -> FunctionTransformer:
    return FunctionTransformer(_FRAME.astype, kw_args={"dtype": "float64"})
