"""Asking an estimator: its answers for a frame, in one form for the three tasks, or what is wrong with them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from model.signature.inside import first_step
from shared.models.task import Task

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-9  # so far outside 0…1 a probability may be by rounding; it is then 0 or 1
_EXACT = 2**53  # up to which each whole number is a double of its own
_OF_LABELS = ". If these are classes, give it predict_proba and classes_"


class WrongAnswer(Exception):
    """The model answers in a form that no row can be blamed for: the wrong shape, or something that is no number."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers to n rows.

    `values` (n,): binary: the probability of the positive class; multiclass: that of the label; regression: the value.
    `labels` (n,) and `scores` (n, classes) are of multiclass alone: class numbers, and the probability of each class.
    A row whose numbers make no sense has NaN in `values`, or what was answered where that tells more. One of none of
    the classes, where the probability of each is 0, has NaN.
    """

    values: Floats
    labels: npt.NDArray[np.int16] | None = None
    scores: Floats | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def numbers(self) -> Floats:
        """All numbers of the answers, (n, 1) or (n, classes)."""
        return self.values[:, None] if self.scores is None else self.scores

    def take(self, rows: Any) -> Prediction:
        """The answers of these rows: places, a slice or a mask."""
        return Prediction(
            self.values[rows],
            None if self.labels is None else self.labels[rows],
            None if self.scores is None else self.scores[rows],
        )


@dataclass(frozen=True, slots=True)
class Asking:
    """How one estimator is asked. `columns`: for each class of the version, the column of predict_proba."""

    estimator: Any
    task: Task
    columns: tuple[int, ...] = ()
    takes_series: bool = False

    def __call__(self, frame: pd.DataFrame | Floats) -> Prediction:
        """The estimator's answers to the rows of `frame`, or of a matrix where it was fitted on one.

        Raises WrongAnswer, and whatever the estimator raises.
        """
        given = frame.iloc[:, 0] if self.takes_series else frame  # type: ignore[union-attr]
        # What a model sets for the whole process must not outlive the call; its warnings are its own affair.
        with np.errstate(), warnings.catch_warnings(action="ignore"):
            if self.task is Task.REGRESSION:
                return _regression(self.estimator.predict(given), len(frame))
            answers = self.estimator.predict_proba(given)
            return classified(answers, len(frame), self.task, self.columns, _class_count(self.estimator))

    def class_sums(self, frame: pd.DataFrame) -> Floats:
        """What the probabilities of all classes add up to, (n,): 1, or they are no probabilities of classes.

        Raises as calling it does.
        """
        given = frame.iloc[:, 0] if self.takes_series else frame
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            answers = self.estimator.predict_proba(given)
            return np.asarray(_matrix(answers, len(frame), _class_count(self.estimator)).sum(axis=1))


def apart(expected: Floats, found: Floats) -> Floats:
    """By how much the rows of two (n, k) differ at most, (n,): by the answer's own size where that is above 1.

    Nothing beside nothing is no difference, and nothing beside a number an infinite one.
    """
    with np.errstate(all="ignore"):
        distance = np.abs(expected - found) / np.maximum(1.0, np.abs(expected))
    distance = np.where(np.isnan(expected) & np.isnan(found), 0.0, distance)
    return np.asarray(np.where(np.isnan(distance), np.where(expected == found, 0.0, np.inf), distance).max(axis=1))


def ask(estimator: Any, task: Task, classes: Sequence[Any]) -> Asking:
    """How `estimator` is asked for the classes of a version. Raises ValueError where it does not know one of them."""
    known = [] if task is Task.REGRESSION else list(estimator.classes_)
    columns = tuple(known.index(label) for label in classes) if task is not Task.REGRESSION else ()
    return Asking(estimator, task, columns, takes_series=wants_series(estimator))


def wants_series(estimator: Any) -> bool:
    """Whether it was fitted on a column of texts and not on a frame: its first part turns texts into counts."""
    if getattr(estimator, "feature_names_in_", None) is not None:
        return False
    module = type(first_step(estimator)).__module__
    return module.startswith("sklearn.feature_extraction.text")


def _class_count(estimator: Any) -> int:
    return len(estimator.classes_)


def classified(answers: Any, rows: int, task: Task, columns: Sequence[int], classes: int) -> Prediction:
    """The prediction in what predict_proba has answered."""
    scores = _matrix(answers, rows, classes)[:, list(columns)]
    with np.errstate(all="ignore"):
        scores = np.where((scores < 0) & (scores >= -ROUNDING), 0.0, scores)
        scores = np.where((scores > 1) & (scores <= 1 + ROUNDING), 1.0, scores)
        is_of_none = (scores == 0).all(axis=1)
        if task is Task.BINARY:
            values = np.ascontiguousarray(scores[:, 1])
            return Prediction(np.where(is_of_none, np.nan, values) if is_of_none.any() else values)
        is_bad = is_of_none | ~((scores >= 0) & (scores <= 1)).all(axis=1)
        labels = np.argmax(scores, axis=1)
        values = scores[np.arange(rows), labels]
        if is_bad.any():
            values = np.where(is_bad, np.nan, values)
        return Prediction(values, labels.astype(np.int16), scores)


def _matrix(answers: Any, rows: int, classes: int) -> Floats:
    if answers is None or hasattr(answers, "toarray") or (isinstance(answers, list) and not answers):
        raise WrongAnswer(
            f"predict_proba answered with {type(answers).__name__}, not with an array of ({rows}, {classes})"
        )
    array = _numbers(answers, "predict_proba")
    if array.shape != (rows, classes):
        raise WrongAnswer(f"predict_proba answered with shape {array.shape} for {rows} rows and {classes} classes")
    return array


def _regression(answers: Any, rows: int) -> Prediction:
    if answers is None or hasattr(answers, "toarray"):
        raise WrongAnswer(f"predict answered with {type(answers).__name__}, not with {rows} numbers")
    array = _numbers(answers, "predict")
    if np.asarray(answers).dtype.kind == "b":
        raise WrongAnswer(f"predict answered with true and false and not with numbers{_OF_LABELS}")
    if array.shape == (rows, 1):
        array = array[:, 0]
    if array.ndim == 2 and array.shape[0] == rows and array.shape[1] > 1:
        raise WrongAnswer(f"predict answers with {array.shape[1]} numbers a row: save one model for each of them")
    if array.shape != (rows,):
        raise WrongAnswer(f"predict answered with shape {array.shape} for {rows} rows")
    return Prediction(np.ascontiguousarray(array))


def _numbers(answers: Any, method: str) -> Floats:
    try:
        array = np.asarray(answers)
        kind = array.dtype.kind
        if kind == "O" and any(isinstance(item, (str, bytes)) for item in array.flat):
            kind = "U"
        if kind in "biufO":
            return _doubles(array)
    except (TypeError, ValueError):  # whose text quotes the answer, which may be a feature's value
        raise WrongAnswer(f"{method} answered with something that is no array of numbers") from None
    if kind in "US":
        raise WrongAnswer(f"{method} answered with texts and not with numbers{_OF_LABELS * (method == 'predict')}")
    raise WrongAnswer(f"{method} answered with numbers of type {array.dtype}")


def _doubles(array: npt.NDArray[Any]) -> Floats:
    """The numbers as doubles; NaN for whole numbers beyond those which doubles tell apart."""
    found = array.astype(np.float64)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:  # no other has such numbers
        found[(array > _EXACT) | (array < -_EXACT)] = np.nan
    return found
