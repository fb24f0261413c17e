"""What the pictures of a model card show, as figures: they go with the version, and screens draw them anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from model.training.metrics import Floats
from shared.models.task import Task

_GROUPS = 10
_MOST_POINTS = 60
_DIGITS = 5

Curve = dict[str, list[float]]


def curves_of(task: Task, codes: Any, values: Any, answers: Any, threshold: float | None) -> dict[str, Curve]:
    """Curves by name, each points `x` and `y`, from answers for rows that were not seen in training.

    `codes` are the classes of the rows by number, `values` the targets of a regression; `answers` are probabilities of
    the positive class, of each class (two dimensions), or numbers. A binary model without a `threshold` has no point
    of it.
    """
    if task is Task.REGRESSION:
        return {"predicted": _groups(np.asarray(answers, float), np.asarray(values, float))}
    if task is Task.MULTICLASS:
        is_right = (answers.argmax(axis=1) == codes).astype(np.int64)
        shares, scores = calibration_curve(is_right, answers.max(axis=1), n_bins=_GROUPS, strategy="quantile")
        return {"calibration": _curve(scores, shares)}
    shares, scores = calibration_curve(codes, answers, n_bins=_GROUPS, strategy="quantile")
    precision, recall, thresholds = precision_recall_curve(codes, answers)
    kept = np.unique(np.linspace(0, len(recall) - 1, _MOST_POINTS).astype(int))
    found = {
        "calibration": _curve(scores, shares),
        "precision_recall": _curve(recall[kept][::-1], precision[kept][::-1]),
    }
    if threshold is None:
        return found
    chosen = min(int(np.searchsorted(thresholds, threshold)), len(thresholds) - 1)
    return {**found, "threshold": _curve(recall[chosen : chosen + 1], precision[chosen : chosen + 1])}


def _groups(answers: Floats, values: Floats) -> Curve:
    """Means of ten groups of rows, by what was predicted."""
    groups = np.array_split(np.argsort(answers), min(_GROUPS, len(answers)))
    return _curve([answers[group].mean() for group in groups], [values[group].mean() for group in groups])


def _curve(x: Any, y: Any) -> Curve:
    return {"x": [round(float(one), _DIGITS) for one in x], "y": [round(float(one), _DIGITS) for one in y]}
