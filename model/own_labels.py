"""Labels as an estimator's own `predict` gives them, beside those that are served."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.answering import Asking, Prediction
from model.own_threshold import goes_by_distance, label_threshold
from shared.models.task import Task
from shared.sentences import count_of

_TIE = 1e-6  # between probabilities: of float32, in which graphs and some boosters compute

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelsBeside:
    """How the labels of n answers stand beside those of `predict`.

    `own_rule`: whether `predict` goes by the rule by which labels are served. `is_other` (n,): the rows whose label is
    another one; `is_wrong` (n,): those of them that no tie excuses, by the same rule. `parts`: of a binary model with
    such rows, the highest probability at which `predict` gives the negative class and the lowest at which it gives the
    positive one, where a threshold between them explains it.
    """

    own_rule: bool
    is_other: Flags
    is_wrong: Flags
    parts: tuple[float, float] | None = None

    @property
    def difference(self) -> str | None:
        """What is wrong with the labels that are served, and what to do where that is known; None: nothing."""
        if not self.is_wrong.any():
            return None
        words = f"{count_of(int(self.is_wrong.sum()), 'row gets', 'rows get')} another label"
        if self.parts is None:
            return words
        low, high = self.parts
        return (
            f"{words}: predict parts between the probabilities {low:.6g} and {high:.6g}. Say a --threshold between them"
        )


def label_columns(said: npt.NDArray[Any] | None) -> int:
    """How many labels `predict` gives a row, by its `own_labels`: with more than one, there are no classes of a row."""
    return 1 if said is None or said.ndim == 1 else said.shape[1]


def labels_beside(
    asking: Asking,
    said: npt.NDArray[Any] | None,
    answers: Prediction,
    classes: tuple[Any, ...],
    threshold: float | None,
) -> LabelsBeside | None:
    """The labels of `answers` beside what `predict` has said of the same rows, its `own_labels`.

    `threshold` is a binary model's. None where `predict` says nothing that could be compared: there is none, it raises,
    or it answers in another form. Rows without an answer are not compared.
    """
    if said is None or said.shape != (len(answers),):
        return None
    none = np.zeros(len(answers), dtype=np.bool_)
    theirs = _places(said, classes)
    mine = served_labels(answers, threshold)
    is_other = (theirs != mine) & ~np.isnan(answers.values)
    own_rule = not goes_by_distance(asking.estimator) and (
        asking.task is Task.MULTICLASS or threshold == label_threshold(asking.estimator, classes)
    )
    is_wrong = is_other & ~_is_tie(answers, theirs, threshold) if own_rule else none
    parts = _parts(answers.values, theirs) if is_wrong.any() and asking.task is Task.BINARY else None
    return LabelsBeside(own_rule, is_other, is_wrong, parts)


def served_labels(answers: Prediction, threshold: float | None) -> npt.NDArray[Any]:
    """The numbers of the labels, (n,), as they are served; 0 for each of a regression."""
    if threshold is not None and answers.labels is None:
        return (answers.values >= threshold).astype(int)
    return np.zeros(len(answers), dtype=int) if answers.labels is None else answers.labels


def own_labels(asking: Asking, frame: Any) -> npt.NDArray[Any] | None:
    """What `predict` says of n rows: (n,), or (n, k) where a row has k labels. None where it says nothing or raises."""
    given = frame.iloc[:, 0] if asking.takes_series else frame
    try:
        # What the model sets for the whole process must not outlive the call.
        with np.errstate(), warnings.catch_warnings(action="ignore"):
            found = np.asarray(asking.estimator.predict(given))
            if found.ndim != 2 or found.shape[1] < 2:
                return found.reshape(-1)
            # A class of somebody's own may call `predict` what tells probabilities.
            chances = np.asarray(asking.estimator.predict_proba(given))
            return None if found.shape == chances.shape and np.allclose(found, chances) else found
    except Exception:  # noqa: BLE001 - only its probabilities are served
        return None


def _places(said: npt.NDArray[Any], classes: tuple[Any, ...]) -> npt.NDArray[np.intp]:
    """The number of each label, -1 for what is none of the classes. 1 and 1.0 are one, and what is written so."""
    places: dict[Any, int] = {}

    def place(label: Any) -> int:
        fits = (number for number, known in enumerate(classes) if known == label or str(known) == str(label))
        return next(fits, -1)

    labels = said.tolist()
    for label in labels:
        key = (type(label), str(label))
        if key not in places:
            places[key] = place(label)
    return np.array([places[type(label), str(label)] for label in labels], dtype=np.intp)


def _is_tie(answers: Prediction, theirs: npt.NDArray[np.intp], threshold: float | None) -> Flags:
    """The rows where the label of `predict` is a class, and as good as the served one: either may be given."""
    if answers.scores is None:
        return (theirs >= 0) & (np.abs(answers.values - (threshold or 0.0)) < _TIE)
    scores = answers.scores
    own = scores[np.arange(len(scores)), np.maximum(theirs, 0)]
    return np.asarray((theirs >= 0) & (scores.max(axis=1) - own < _TIE))


def _parts(values: npt.NDArray[np.float64], theirs: npt.NDArray[np.intp]) -> tuple[float, float] | None:
    """Between which two probabilities `predict` parts; None where no threshold explains its labels."""
    known = ~np.isnan(values)
    negative, positive = values[known & (theirs == 0)], values[known & (theirs == 1)]
    low = float(negative.max()) if len(negative) else 0.0
    high = float(positive.min()) if len(positive) else 1.0
    return (low, high) if low < high and len(negative) + len(positive) == int(known.sum()) else None
