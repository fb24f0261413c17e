"""Linear pipelines, compiled: the same probabilities without the frames, copies and checks of each step.

A fitted pipeline of imputers, one-hot encoders, element-wise functions, scalers and a logistic regression is one
sum: intercept + Σ weight × term, where a term is one feature's value, its logarithm, "is at least", or "is this
category". `compile_linear` reads that sum off the fitted steps. What it does not know in full it leaves to
scikit-learn, and worker.models.model_store checks the compiled form against the pipeline before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from shared.models.signature import FeatureKind, Signature
from worker.scoring.feature_reader import columns_of

Floats = npt.NDArray[np.float64]


class Operation(Enum):
    """What a term makes of its feature."""

    VALUE = auto()
    LOG1P = auto()
    AT_LEAST = auto()  # 1.0 where the value is at least the argument, else 0.0
    CATEGORY = auto()  # 1.0 where the value is the argument, else 0.0


@dataclass(frozen=True, slots=True)
class Term:
    """One column somewhere in the pipeline: `scale` × operation(feature) + `offset`."""

    feature: str
    operation: Operation = Operation.VALUE
    argument: Any = None
    fill: float | None = None  # stands in for a missing value
    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the column is the feature itself, so that a function of it is still a term."""
        return self.operation is Operation.VALUE and self.scale == 1.0 and self.offset == 0.0


class NotLinear(Exception):
    """The estimator has a part that is not known here."""


class LinearModel:
    """`intercept` + the sum of the terms, through the logistic function: three matrix products, whatever the terms."""

    def __init__(self, intercept: float, terms: Mapping[str, Sequence[Term]]) -> None:
        """`terms` by feature; those of a category are all of CATEGORY, the others of the numeric operations."""
        self._intercept = intercept
        self._words = {
            name: {term.argument: term.scale for term in group}
            for name, group in terms.items()
            if group[0].operation is Operation.CATEGORY
        }
        self._fills = {name: group[0].fill for name, group in terms.items() if name not in self._words}
        places = {name: place for place, name in enumerate(self._fills)}
        numeric = [term for name in self._fills for term in terms[name]]
        self._values = _Weights.of(numeric, Operation.VALUE, places)
        self._logs = _Weights.of(numeric, Operation.LOG1P, places)
        self._steps = _Weights.of(numeric, Operation.AT_LEAST, places)

    def probabilities(self, features: pa.Table) -> Floats:
        """Probability of the positive class per row; categories may come dictionary-encoded."""
        columns = dict(zip(features.column_names, columns_of(features), strict=True))
        numbers = np.empty((features.num_rows, len(self._fills)), order="F")
        for place, (name, fill) in enumerate(self._fills.items()):
            numbers[:, place] = _numbers(columns[name], fill)
        total = self._values.apply(numbers) + self._intercept
        total += self._logs.apply(numbers, np.log1p)
        total += self._steps.apply(numbers, lambda chosen: chosen >= self._steps.arguments)
        for name, weights in self._words.items():
            total += _category_weights(columns[name], weights)
        with np.errstate(over="ignore"):  # a hopeless case is exactly 0
            return np.asarray(1.0 / (1.0 + np.exp(-total)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Weights:
    """The numeric terms of one operation: which columns, with which argument, by what weight."""

    places: npt.NDArray[np.intp]
    arguments: Floats
    scales: Floats

    @classmethod
    def of(cls, terms: Sequence[Term], operation: Operation, places: Mapping[str, int]) -> _Weights:
        chosen = [term for term in terms if term.operation is operation]
        return cls(
            np.array([places[term.feature] for term in chosen], dtype=np.intp),
            np.array([term.argument for term in chosen], dtype=np.float64),
            np.array([term.scale for term in chosen], dtype=np.float64),
        )

    def apply(self, numbers: Floats, function: Callable[[Floats], Any] | None = None) -> Floats:
        chosen = numbers[:, self.places]
        weighted: Floats = (chosen if function is None else function(chosen)) @ self.scales
        return weighted


def _numbers(column: pa.Array, fill: float | None) -> npt.NDArray[Any]:
    if column.null_count:
        column = pc.fill_null(column.cast(pa.float64()), np.nan if fill is None else fill)
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _category_weights(column: pa.Array, weights: Mapping[Any, float]) -> Floats:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    table = np.array([weights[word] for word in encoded.dictionary.to_pylist()])
    return np.asarray(table[encoded.indices.to_numpy()], dtype=np.float64)


def compile_linear(estimator: Any, signature: Signature, positive_column: int) -> LinearModel:
    """The sum behind the probability in `positive_column`. Raises NotLinear where it is not such a sum."""
    if not isinstance(estimator, Pipeline) or positive_column != 1:
        raise NotLinear(type(estimator).__name__)
    columns = [Term(name) for name in signature.names]
    *steps, classifier = [step for _, step in estimator.steps]
    for step in steps:
        columns = _through(step, columns)
    if not isinstance(classifier, LogisticRegression) or classifier.coef_.shape != (1, len(columns)):
        raise NotLinear(type(classifier).__name__)
    weights = classifier.coef_[0]
    intercept = float(classifier.intercept_[0])
    intercept += float(sum(weight * term.offset for weight, term in zip(weights, columns, strict=True)))
    scaled = [
        replace(term, scale=float(weight) * term.scale, offset=0.0)
        for weight, term in zip(weights, columns, strict=True)
    ]
    return LinearModel(intercept, _by_feature(scaled, signature))


def _by_feature(columns: list[Term], signature: Signature) -> dict[str, tuple[Term, ...]]:
    grouped: dict[str, list[Term]] = {}
    for term in columns:
        grouped.setdefault(term.feature, []).append(term)
    for spec in signature.features:
        terms = grouped.get(spec.name, [])
        known = {term.argument for term in terms if term.operation is Operation.CATEGORY}
        if known and not (set(spec.categories) <= known and spec.categories):
            raise NotLinear(f"{spec.name} may hold a category that the encoder does not know")
        if len({term.fill for term in terms}) > 1 or (spec.kind is FeatureKind.CATEGORY and terms and not known):
            raise NotLinear(f"{spec.name} is used in two ways")
    return {name: tuple(terms) for name, terms in grouped.items()}


def _through(step: Any, columns: list[Term]) -> list[Term]:
    """The columns after one fitted step."""
    if step in ("passthrough", None):
        return columns
    handler = _HANDLERS.get(type(step))
    if handler is None:
        raise NotLinear(type(step).__name__)
    return handler(step, columns)


def _select(step: ColumnTransformer, columns: list[Term]) -> list[Term]:
    selected: list[Term] = []
    names = [term.feature for term in columns]
    for _, part, chosen in step.transformers_:
        if part == "drop" and len(chosen):
            raise NotLinear("a dropped column")
        if isinstance(chosen, slice):
            inputs = columns[chosen]
        else:
            inputs = [columns[names.index(key) if isinstance(key, str) else int(key)] for key in chosen]
        selected += _through(part, inputs)
    return selected


def _impute(step: SimpleImputer, columns: list[Term]) -> list[Term]:
    fills = np.asarray(step.statistics_, dtype=np.float64)
    if step.add_indicator or np.isnan(fills).any() or not all(term.is_plain for term in columns):
        raise NotLinear("an imputer that does more than fill in")
    return [replace(term, fill=float(fill)) for term, fill in zip(columns, fills, strict=True)]


def _one_hot(step: OneHotEncoder, columns: list[Term]) -> list[Term]:
    if step.drop is not None or step.min_frequency is not None or step.max_categories is not None:
        raise NotLinear("a one-hot encoder that drops or merges categories")
    return [
        replace(term, operation=Operation.CATEGORY, argument=category)
        for term, categories in zip(columns, step.categories_, strict=True)
        for category in categories
    ]


def _apply(step: FunctionTransformer, columns: list[Term]) -> list[Term]:
    function = step.func
    if function is None:
        return columns
    if step.kw_args or not all(term.is_plain for term in columns):
        raise NotLinear("a function of a function")
    if function is np.log1p:
        return [replace(term, operation=Operation.LOG1P) for term in columns]
    if isinstance(function, partial) and function.func is np.less_equal and len(function.args) == 1:
        grades = np.broadcast_to(function.args[0], len(columns))
        return [
            replace(term, operation=Operation.AT_LEAST, argument=float(grade))
            for term, grade in zip(columns, grades, strict=True)
        ]
    raise NotLinear(f"the function {function!r}")


def _scale(step: StandardScaler, columns: list[Term]) -> list[Term]:
    means = step.mean_ if step.with_mean else np.zeros(len(columns))
    scales = step.scale_ if step.with_std else np.ones(len(columns))
    return [
        replace(term, scale=term.scale / float(scale), offset=(term.offset - float(mean)) / float(scale))
        for term, mean, scale in zip(columns, means, scales, strict=True)
    ]


def _chain(step: Pipeline, columns: list[Term]) -> list[Term]:
    for _, part in step.steps:
        columns = _through(part, columns)
    return columns


_HANDLERS: dict[type, Callable[[Any, list[Term]], list[Term]]] = {
    ColumnTransformer: _select,
    SimpleImputer: _impute,
    OneHotEncoder: _one_hot,
    FunctionTransformer: _apply,
    StandardScaler: _scale,
    Pipeline: _chain,
}
