"""Linear pipelines, compiled: the same probabilities without the frames, copies and checks of each step.

A fitted pipeline of imputers, one-hot encoders, element-wise functions, scalers and a logistic regression is one
sum: intercept + Σ weight × term, where a term is one feature's value, its logarithm, "is at least", or "is this
category". `worker.models.linear.compile` reads that sum off the fitted steps. Rows that this form is not made for (an
unknown category that the encoder refuses, numbers near the end of what a double holds) it leaves to scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.pages.layout import Missing
from worker.pages.columns import FeatureColumn

Floats = npt.NDArray[np.float64]

_HUGE = 1e150  # beyond it a scaled value may be infinite, which scikit-learn refuses and a sum does not notice


class Operation(Enum):
    """What a term makes of its feature."""

    VALUE = auto()
    LOG1P = auto()
    AT_LEAST = auto()  # 1.0 where the value is at least the argument, else 0.0
    CATEGORY = auto()  # 1.0 where the value is the argument, else 0.0


@dataclass(frozen=True, slots=True)
class Term:
    """One column somewhere in the pipeline: `scale` × operation(feature) + `offset`."""

    feature: int  # its place in the signature
    operation: Operation = Operation.VALUE
    argument: Any = None
    fill: float | str | None = None  # stands in for a missing value
    scale: float = 1.0
    offset: float = 0.0
    takes_unknown: bool = False  # of a category: whether its encoder makes zeros of a word that it does not know

    @property
    def is_plain(self) -> bool:
        """Whether the column is the feature itself, so that a function of it is still a term."""
        return self.operation is Operation.VALUE and self.scale == 1.0 and self.offset == 0.0


@dataclass(frozen=True, slots=True)
class WordWeights:
    """What the words of a text feature add. None: scikit-learn has to say."""

    weights: Mapping[str, float]
    unknown: float | None
    missing: float | None

    def of(self, column: FeatureColumn) -> Floats:
        """What each row adds; NaN where only scikit-learn can say."""
        assert column.words is not None
        states = column.states()
        codes = column.values if states is None else np.where(states == Missing.PRESENT, column.values, -1)
        words = column.words.to_pylist()
        # None is NaN here; a word that no row has does no harm.
        table = np.array([*(self.weights.get(word, self.unknown) for word in words), self.missing], dtype=np.float64)
        found: Floats = table[codes]
        return found


class LinearModel:
    """`intercept` + the sum of the terms, through the logistic function: three matrix products, whatever the terms."""

    def __init__(
        self, intercept: float, numbers: Mapping[int, Sequence[Term]], words: Mapping[int, WordWeights]
    ) -> None:
        """`numbers` has the terms of numeric features by their place in the signature, all of one fill each."""
        self._intercept = intercept
        self._words = dict(words)
        self._fills = {feature: terms[0].fill for feature, terms in numbers.items()}
        places = {feature: place for place, feature in enumerate(self._fills)}
        numeric = [term for terms in numbers.values() for term in terms]
        self._values = _Weights.of(numeric, Operation.VALUE, places)
        self._logs = _Weights.of(numeric, Operation.LOG1P, places)
        self._steps = _Weights.of(numeric, Operation.AT_LEAST, places)

    def logits(self, columns: Sequence[FeatureColumn]) -> Floats:
        """The log-odds of the positive class per row of `input_columns`; NaN where scikit-learn must answer."""
        # A model that was loaded here may have made numpy raise where it should warn.
        with np.errstate(all="ignore"):
            return self._logits(columns)

    def probabilities(self, columns: Sequence[FeatureColumn]) -> Floats | None:
        """Probability of the positive class per row; None where scikit-learn must answer one of them, and so all."""
        total = self.logits(columns)
        if np.isnan(total).any():
            return None
        with np.errstate(all="ignore"):  # a hopeless case is exactly 0
            return np.asarray(1.0 / (1.0 + np.exp(-total)), dtype=np.float64)

    def _logits(self, columns: Sequence[FeatureColumn]) -> Floats:
        numbers = np.empty((len(columns[0]), len(self._fills)), order="F")
        for place, (feature, fill) in enumerate(self._fills.items()):
            numbers[:, place] = _numbers(columns[feature], fill)
        total: Floats = self._values.apply(numbers) + self._intercept
        total += self._logs.apply(numbers, np.log1p)
        total += self._steps.apply(numbers, lambda chosen: chosen >= self._steps.arguments)
        for feature, weights in self._words.items():
            total += weights.of(columns[feature])
        if numbers.size and not (numbers.max() < _HUGE and numbers.min() > -_HUGE):  # or one of them is no number
            total[~(np.abs(numbers) < _HUGE).all(axis=1)] = np.nan
        if not np.isfinite(total).all():
            total[~np.isfinite(total)] = np.nan
        return total


@dataclass(frozen=True, slots=True)
class _Weights:
    """The numeric terms of one operation: which columns, with which argument, by what weight."""

    places: npt.NDArray[np.intp]
    arguments: Floats
    scales: Floats

    @classmethod
    def of(cls, terms: Sequence[Term], operation: Operation, places: Mapping[int, int]) -> _Weights:
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


def _numbers(column: FeatureColumn, fill: float | str | None) -> npt.NDArray[Any]:
    states = column.states()
    if states is None:
        return column.values
    return np.where(states == Missing.PRESENT, column.values, np.nan if fill is None else fill)
