"""Estimators of any make for tables of any make, and the frames that they are given when nobody stands between."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from shared.models.signature import FeatureSpec, Signature
from tests.integration.sources.generated_tables import MadeColumn

INTEGERS = ("smallint", "integer", "bigint")
FLOATS = ("real", "double precision", "numeric")
TIMES = ("date", "timestamp", "timestamptz")
Rows = dict[str, list[str | None]]  # texts of values by column, as PostgreSQL writes them

CLASSIFIERS = ("linear", "tree", "forest", "boosting", "bayes")
REGRESSORS = ("linear", "tree", "forest", "boosting")
LABELS: dict[str, list[list[Any]]] = {
    "binary": [[0, 1], ["No", "Yes"], [False, True], ["a", "b"], [-1, 1], [0.0, 1.0]],
    "multiclass": [["low", "mid", "top"], [0, 1, 2], [10, 20, 30, 40], ["Ä", "", "x,y"]],
}


@dataclass(frozen=True)
class Recipe:
    """What is to be fitted. `gap` is what the training had for a missing text or flag."""

    task: str
    last: str
    numbers: str
    words: str
    flags: str
    gap: str
    labels: int
    threshold: float | None
    form: str
    seed: int


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any of them."""
    task = draw(st.sampled_from(["binary", "multiclass", "regression"]))
    return Recipe(
        task,
        draw(st.sampled_from(REGRESSORS if task == "regression" else CLASSIFIERS)),
        draw(st.sampled_from(["mean", "median", "most_frequent", "plain"])),
        draw(st.sampled_from(["ignore", "error", "ordinal", "filled", "filled with a word"])),
        draw(st.sampled_from(["hot", "numbers", "plain"])),
        draw(st.sampled_from(["nan", "none"])),
        draw(st.integers(0, 10)),
        draw(st.sampled_from([None, 0.3, 0.61])) if task == "binary" else None,
        draw(st.sampled_from(["joblib", "joblib", "joblib", "skops"])),
        draw(st.integers(0, 2**16)),
    )


def days(frame: pd.DataFrame) -> pd.DataFrame:
    """Times as days since 2000; NaN where there is none."""
    return frame.apply(lambda column: (column.dt.tz_localize(None) - pd.Timestamp(2000, 1, 1)) / pd.Timedelta(days=1))


def as_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Flags as 1.0, 0.0 and NaN."""
    return frame.astype(float)


def value(kind: str, text: str | None) -> Any:
    """A value as Python has it; None where there is none, or none that Python knows."""
    if text is None:
        return None
    if kind in INTEGERS:
        return int(text)
    if kind == "numeric":
        return float(Decimal(text))
    if kind in FLOATS:
        return float(text)
    if kind == "boolean":
        return text == "true"
    if kind in TIMES:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None
    return text


def training_frame(rows: Rows, columns: Sequence[MadeColumn], gap: str) -> pd.DataFrame:
    """What pandas makes of the table: numbers with gaps are float64, texts and flags with gaps objects."""
    found: dict[str, Any] = {}
    nothing = np.nan if gap == "nan" else None
    for column in columns:
        cells = [value(column.type.base, text) for text in rows[column.name]]
        base = column.type.base
        if base in TIMES:
            zone = "UTC" if base == "timestamptz" else None
            found[column.name] = pd.Series(
                pd.to_datetime(pd.Series(cells, dtype=object), utc=bool(zone)).dt.as_unit("us")
            )
        elif base in INTEGERS:
            found[column.name] = pd.Series(cells, dtype="float64" if None in cells else "int64")
        elif base in FLOATS:
            found[column.name] = pd.Series([np.nan if cell is None else cell for cell in cells], dtype="float64")
        elif base == "boolean" and None not in cells:
            found[column.name] = pd.Series(cells, dtype=bool)
        else:
            found[column.name] = pd.Series([nothing if cell is None else cell for cell in cells], dtype=object)
    return pd.DataFrame(found)


def frame_of(
    rows: Rows, signature: Signature, columns: Sequence[MadeColumn], gaps: dict[str, str] | None = None
) -> pd.DataFrame:
    """The same rows with the signature's dtypes: what the estimator is asked with directly.

    `gaps`: by column, what stands for a missing object, where that is not what the signature says.
    """
    kinds = {column.name: column.type.base for column in columns}
    return pd.DataFrame(
        {
            spec.name: _series(spec, kinds[spec.name], rows[spec.name], (gaps or {}).get(spec.name, spec.missing))
            for spec in signature.features
        }
    )


def _series(spec: FeatureSpec, kind: str, texts: list[str | None], gap: str) -> Any:
    cells = [value(kind, text) for text in texts]
    if spec.dtype == "object":
        nothing = None if gap == "none" else np.nan
        return pd.Series([nothing if cell is None else cell for cell in cells], dtype=object)
    if spec.kind == "datetime":
        plain = [None if cell is None else cell.replace(tzinfo=None) for cell in cells]
        series = pd.Series(np.array(plain, dtype="datetime64[us]"))
        return series.dt.tz_localize("UTC") if spec.dtype.endswith("UTC]") else series
    if spec.dtype == "category":
        return pd.Categorical(cells, categories=list(spec.categories))
    if spec.dtype == "float64":
        return pd.Series([np.nan if cell is None else float(cell) for cell in cells], dtype="float64")
    return pd.Series(cells, dtype=spec.dtype)


def fit(recipe: Recipe, frame: pd.DataFrame, columns: Sequence[MadeColumn]) -> tuple[Any, list[Any]]:
    """The fitted estimator, and its classes in the order in which the version has them."""
    random_state = random.Random(recipe.seed)
    estimator = make_pipeline(_prepared(recipe, columns, frame), _last(recipe))
    if recipe.task == "regression":
        return estimator.fit(frame, np.array([random_state.gauss(3, 2) for _ in range(len(frame))])), []
    lists = LABELS[recipe.task]
    classes = lists[recipe.labels % len(lists)]
    chosen = [classes[number % len(classes)] for number in range(len(frame))]
    random_state.shuffle(chosen)
    return estimator.fit(frame, np.array(chosen)), sorted(classes)


def _prepared(recipe: Recipe, columns: Sequence[MadeColumn], frame: pd.DataFrame) -> ColumnTransformer:
    parts: dict[str, tuple[Any, list[str]]] = {}
    for column in columns:
        base = column.type.base
        name = (
            "words"
            if column.type.is_text
            else "flags"
            if base == "boolean"
            else "times"
            if base in TIMES
            else "numbers"
        )
        parts.setdefault(name, (None, []))[1].append(column.name)
    made = {"numbers": _numbers, "words": _words, "flags": _flags, "times": _times}
    return ColumnTransformer(
        [(name, made[name](recipe, frame[names]), names) for name, (_, names) in parts.items()], sparse_threshold=0
    )


def _numbers(recipe: Recipe, frame: pd.DataFrame) -> Any:
    if recipe.numbers == "plain":
        takes_gaps = recipe.last in ("tree", "forest", "boosting")
        return "passthrough" if takes_gaps or not frame.isna().any(axis=None) else SimpleImputer()
    return make_pipeline(SimpleImputer(strategy=recipe.numbers), StandardScaler())


def _words(recipe: Recipe, frame: pd.DataFrame) -> Any:
    if recipe.words == "ordinal":
        return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    if recipe.words in ("ignore", "error"):
        return OneHotEncoder(handle_unknown=recipe.words, sparse_output=False)
    missing = None if recipe.gap == "none" else np.nan
    more = (
        {"strategy": "constant", "fill_value": "nothing"} if "with" in recipe.words else {"strategy": "most_frequent"}
    )
    return make_pipeline(
        SimpleImputer(missing_values=missing, **more), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )


def _flags(recipe: Recipe, frame: pd.DataFrame) -> Any:
    if recipe.flags == "plain" and not frame.isna().any(axis=None):
        return "passthrough"
    if recipe.flags == "hot":
        return OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(FunctionTransformer(as_numbers), SimpleImputer(strategy="most_frequent"))


def _times(recipe: Recipe, frame: pd.DataFrame) -> Any:
    return make_pipeline(FunctionTransformer(days), SimpleImputer(), StandardScaler())


def _last(recipe: Recipe) -> Any:
    is_regression = recipe.task == "regression"
    state = {"random_state": recipe.seed}
    if recipe.last == "linear":
        return Ridge() if is_regression else LogisticRegression(max_iter=50)
    if recipe.last == "tree":
        return (DecisionTreeRegressor if is_regression else DecisionTreeClassifier)(min_samples_leaf=3, **state)
    if recipe.last == "forest":
        return (RandomForestRegressor if is_regression else RandomForestClassifier)(4, **state)
    if recipe.last == "bayes":
        return GaussianNB(var_smoothing=1e-3)
    kind = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    return kind(max_iter=4, min_samples_leaf=4, early_stopping=False, **state)


def dumped(estimator: Any, form: str) -> tuple[bytes, list[str]]:
    """The file, and the types in it that must be allowed by name."""
    if form == "skops":
        content = skops.io.dumps(estimator)
        return content, skops.io.get_untrusted_types(data=content)
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue(), []
