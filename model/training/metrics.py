"""How good answers are, and how sure we are of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    precision_recall_curve,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

# How far below the best F1 a threshold may stay: the curve is flat there, and its top is mostly noise.
F1_TOLERANCE = 0.01

# What no figure can be beyond; the others lie from 0 to 1.
_BOUNDS = {
    "log_loss": (0.0, np.inf), "mae": (0.0, np.inf), "rmse": (0.0, np.inf), "r2": (-np.inf, 1.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over repeated splits and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def score(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    """All figures of a binary test set; precision, recall and F1 are those of the positive class, 1 in `labels`."""
    predicted = probabilities >= threshold
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "precision": float(precision_score(labels, predicted, zero_division=0.0)),
        "recall": float(recall_score(labels, predicted)),
        "f1": float(f1_score(labels, predicted)),
        "roc_auc": float(roc_auc_score(labels, probabilities)),
        "average_precision": float(average_precision_score(labels, probabilities)),
        "brier": float(brier_score_loss(labels, probabilities)),
    }


def score_classes(codes: Labels, probabilities: Floats) -> dict[str, float]:
    """All figures of a multiclass test set: `codes`, (rows,), are columns of `probabilities`, (rows, classes)."""
    every = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    with warnings.catch_warnings(action="ignore"):  # sums that are off by rounding
        loss = float(log_loss(codes, probabilities, labels=every))
    return {
        "accuracy": float(accuracy_score(codes, predicted)),
        "macro_f1": float(f1_score(codes, predicted, labels=every, average="macro", zero_division=0.0)),
        "log_loss": loss,
    }


def score_numbers(values: Floats, predicted: Floats) -> dict[str, float]:
    """All figures of a regression's test set; MAE and RMSE are in the unit of the target."""
    return {
        "mae": float(mean_absolute_error(values, predicted)),
        "rmse": float(root_mean_squared_error(values, predicted)),
        "r2": float(r2_score(values, predicted)),
    }


def choose_threshold(labels: Labels, probabilities: Floats) -> float:
    """The highest threshold whose F1 is within 1 % of the best.

    Give it out-of-fold probabilities of training rows, never those of the rows that it is judged on. Taking
    the high end of the flat top costs no F1 and spares the negative class a false alarm.
    """
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    good = np.flatnonzero(f1[:-1] >= (1 - F1_TOLERANCE) * f1.max())
    return float(thresholds[good[-1]])


def interval(values: list[float], test_share: float, figure: str = "") -> Interval:
    """Mean and 95 % interval of a figure over random splits of the same data.

    The splits share rows, so the plain standard error is too small; the variance is corrected for it after
    Nadeau and Bengio, "Inference for the Generalization Error" (2003). Needs at least two values.
    Of so few the interval is very wide; it is cut off where no such figure can lie (a share: at 0 and 1).
    """
    lowest, highest = _BOUNDS.get(figure, (0.0, 1.0))
    mean = float(np.mean(values))
    variance = float(np.var(values, ddof=1)) * (1 / len(values) + test_share / (1 - test_share))
    half = float(student_t.ppf(0.975, len(values) - 1)) * variance**0.5
    return Interval(mean, max(lowest, mean - half), min(highest, mean + half))
