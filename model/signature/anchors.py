"""Where the values lay that an estimator was fitted on, as far as its parts tell: ranges, words, markers of gaps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.signature.inside import Names, Sight, categories_of, refuses_others, sights

_OTHERWISE = (TypeError, ValueError, AttributeError, LookupError)
_OF_THE_MIDST = ("mean", "median", "most_frequent")  # what gaps are filled with is a value as many rows have it
_MOST_TREES = 10
_MOST_WORDS = 200
_SCALES = 3.0  # standard deviations on each side of a mean


@dataclass(slots=True)
class Anchor:
    """What the parts of an estimator tell of one feature's values. Empty where they tell nothing."""

    ranges: list[tuple[float, float]] = field(default_factory=list)
    markers: list[float] = field(default_factory=list)  # single numbers that mean something: gaps, what fills them
    numbers: list[float] = field(default_factory=list)  # that an encoder has learnt as categories
    is_closed: bool = False  # that encoder refuses any other number
    words: list[str] = field(default_factory=list)
    vocabulary: list[str] = field(default_factory=list)  # of a text, word by word

    @property
    def span(self) -> tuple[float, float] | None:
        """The least and the most of all ranges."""
        if not self.ranges:
            return None
        return min(low for low, _ in self.ranges), max(high for _, high in self.ranges)


def find_anchors(estimator: Any, names: Names) -> dict[str, Anchor]:
    """The anchors of each feature, by name."""
    found = {name: Anchor() for name in names}
    for sight in sights(estimator, names):
        anchor = found.get(sight.feature)
        if anchor is not None:
            # A class of somebody's own may hold something else under a name of scikit-learn's: it tells nothing more.
            with np.errstate(all="ignore"), contextlib.suppress(*_OTHERWISE):
                _note(sight, anchor)
    return found


def _note(sight: Sight, anchor: Anchor) -> None:
    for low, high in _ranges(sight.part, sight.place):
        if np.isfinite(low) and np.isfinite(high):
            anchor.ranges.append((min(low, high), max(low, high)))
    gap = getattr(sight.part, "missing_values", None)
    if gap is not None and _is_number(gap):
        anchor.markers.append(float(gap))
    fill = _at(getattr(sight.part, "statistics_", None), sight.place)
    if _is_number(fill):
        anchor.markers.append(float(fill))
        if getattr(sight.part, "strategy", None) in _OF_THE_MIDST:
            around = float(fill) / 2 or 1.0
            anchor.ranges.append(tuple(sorted((fill - around, fill + around))))
    for category in categories_of(sight)[:_MOST_WORDS]:
        if isinstance(category, str):
            anchor.words.append(str(category))
        elif _is_number(category):
            anchor.numbers.append(float(category))
            anchor.is_closed |= refuses_others(sight)
    vocabulary = getattr(sight.part, "vocabulary_", None)
    if isinstance(vocabulary, dict):
        anchor.vocabulary += [str(word) for word in list(vocabulary)[:_MOST_WORDS]]


def _ranges(part: Any, place: int) -> Iterator[tuple[float, float]]:
    middle, scale = _number(part, ("mean_", "center_"), place), _number(part, ("scale_",), place)
    if middle is not None:
        width = _SCALES * abs(scale if scale is not None else 1.0)
        yield middle - width, middle + width
    low, high = _number(part, ("data_min_",), place), _number(part, ("data_max_",), place)
    if low is not None and high is not None:
        yield low, high
    edges = _at(getattr(part, "bin_edges_", None), place)
    if edges is not None and len(edges):
        yield float(edges[0]), float(edges[-1])
    quantiles = getattr(part, "quantiles_", None)
    if quantiles is not None and np.ndim(quantiles) == 2:
        yield float(quantiles[0, place]), float(quantiles[-1, place])
    yield from _bayes(part, place)
    thresholds = _thresholds(part, place)
    if thresholds:
        yield min(thresholds), max(thresholds)


def _bayes(part: Any, place: int) -> Iterator[tuple[float, float]]:
    theta, variance = getattr(part, "theta_", None), getattr(part, "var_", None)
    if theta is not None and variance is not None:
        width = _SCALES * float(np.sqrt(np.max(variance[:, place])))
        yield float(np.min(theta[:, place])) - width, float(np.max(theta[:, place])) + width


def _thresholds(part: Any, place: int) -> list[float]:
    """The numbers at which trees split this column."""
    found: list[float] = []
    for tree in _trees(part):
        inside = tree.feature == place
        found += [float(value) for value in tree.threshold[inside]]
    for round_of in (getattr(part, "_predictors", None) or [])[:_MOST_TREES]:
        for predictor in round_of:
            nodes = predictor.nodes
            chosen = (nodes["feature_idx"] == place) & (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
            found += [float(value) for value in nodes["num_threshold"][chosen]]
    return [value for value in found if np.isfinite(value)]


def _trees(part: Any) -> list[Any]:
    if hasattr(part, "tree_"):
        return [part.tree_]
    inner = getattr(part, "estimators_", None)
    if inner is None or type(part).__name__.startswith("Bagging"):  # each of those has columns of its own
        return []
    return [tree.tree_ for tree in np.ravel(np.array(inner, dtype=object))[:_MOST_TREES] if hasattr(tree, "tree_")]


def _number(part: Any, keys: Iterable[str], place: int) -> float | None:
    for key in keys:
        value = _at(getattr(part, key, None), place)
        if _is_number(value):
            return float(value)
    return None


def _at(values: Any, place: int) -> Any:
    try:
        return values[place]
    except (TypeError, IndexError, KeyError):
        return None


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return bool(is_number and np.isfinite(value))
