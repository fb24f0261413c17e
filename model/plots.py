"""The two pictures of the model card, drawn without a display."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from model.metrics import Floats, Labels

BINS = 10


def plot_calibration(labels: Labels, probabilities: Floats, path: Path) -> None:
    """Draw how often people left against the score they got, in ten groups of equal size."""
    shares, scores = calibration_curve(labels, probabilities, n_bins=BINS, strategy="quantile")
    figure, axes = _axes("Score (balanced classes)", "Share that left", "Calibration")
    axes.plot([0, 1], [0, 1], "--", color="0.6", label="a calibrated score")
    axes.plot(scores, shares, "o-", label="as served")
    corrected = unbalanced(probabilities, labels.mean())
    shares, scores = calibration_curve(labels, corrected, n_bins=BINS, strategy="quantile")
    axes.plot(scores, shares, "s-", label="with the weights taken back")
    axes.legend()
    _write(figure, path)


def plot_precision_recall(labels: Labels, probabilities: Floats, threshold: float, path: Path) -> None:
    """Draw precision against recall on the leaving class, and the point that the threshold picks."""
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    chosen = min(int(np.searchsorted(thresholds, threshold)), len(thresholds) - 1)
    figure, axes = _axes("Recall", "Precision", "Precision and recall on leavers")
    axes.plot(recall, precision, label="out-of-fold scores")
    axes.plot(recall[chosen], precision[chosen], "o", label=f"threshold {threshold:.3f}")
    axes.axhline(labels.mean(), ls="--", color="0.6", label="everybody flagged")
    axes.legend()
    _write(figure, path)


def unbalanced(probabilities: Floats, share: float) -> Floats:
    """Scores of a model with balanced class weights as probabilities, where `share` of all rows is positive."""
    positive = probabilities * share
    return np.asarray(positive / (positive + (1 - probabilities) * (1 - share)))


def _axes(x: str, y: str, title: str) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=(5, 4), layout="constrained")  # not pyplot: no backend, no global state
    axes = figure.add_subplot(xlabel=x, ylabel=y, title=title, xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    return figure, axes


def _write(figure: Figure, path: Path) -> None:
    # A fixed salt and no date: the same data give the same file, so a refresh shows only real change.
    with mpl.rc_context({"svg.hashsalt": "predictq", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
