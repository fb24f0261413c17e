"""The pictures of a model card, two for each task, drawn without a display."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_curve

from model.training.metrics import Floats, Labels

BINS = 10
FEW_CLASSES = 12  # up to so many the shares are written into the squares
CELLS = 40  # of the picture of a regression, each way


def plot_calibration(labels: Labels, probabilities: Floats, path: Path, *, balanced: bool = True) -> None:
    """Draw how often rows are positive against the score they got, in ten groups of equal size.

    `balanced`: the model was fitted with balanced class weights, and a second line takes them back.
    """
    shares, scores = calibration_curve(labels, probabilities, n_bins=BINS, strategy="quantile")
    score = "Score (balanced classes)" if balanced else "Probability of the label"
    figure, axes = _axes(score, "Share of positive rows" if balanced else "Share of right labels", "Calibration")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.plot([0, 1], [0, 1], "--", color="0.6", label="a calibrated score")
    axes.plot(scores, shares, "o-", label="as served")
    if balanced:
        corrected = unbalanced(probabilities, labels.mean())
        shares, scores = calibration_curve(labels, corrected, n_bins=BINS, strategy="quantile")
        axes.plot(scores, shares, "s-", label="with the weights taken back")
    axes.legend()
    _write(figure, path)


def plot_precision_recall(labels: Labels, probabilities: Floats, threshold: float | None, path: Path) -> None:
    """Draw precision against recall on the positive class, and the point that the threshold picks, if there is one."""
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    figure, axes = _axes("Recall", "Precision", "Precision and recall on the positive class")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.plot(recall, precision, label="out-of-fold scores")
    if threshold is not None:
        chosen = min(int(np.searchsorted(thresholds, threshold)), len(thresholds) - 1)
        axes.plot(recall[chosen], precision[chosen], "o", label=f"threshold {threshold:.3f}")
    axes.axhline(labels.mean(), ls="--", color="0.6", label="every row flagged")
    axes.legend()
    _write(figure, path)


def plot_confusion(codes: Labels, probabilities: Floats, names: list[str], path: Path) -> None:
    """Draw which label rows of each class got: each line of squares sums up to 1."""
    every = np.arange(len(names))
    counts = confusion_matrix(codes, probabilities.argmax(axis=1), labels=every)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _axes("Label given", "Class", "Out-of-fold labels")
    axes.grid(visible=False)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(every, names, rotation=45, ha="right")
    axes.set_yticks(every, names)
    for row, column in np.ndindex(shares.shape) if len(names) <= FEW_CLASSES else ():
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{shares[row, column]:.2f}", ha="center", va="center", color=shade, fontsize=8)
    _write(figure, path)


def plot_predicted(values: Floats, predicted: Floats, path: Path) -> None:
    """Draw the true value against the predicted one, as counts of rows in squares."""
    low, high = np.quantile(np.concatenate([values, predicted]), [0.005, 0.995])
    high = high if high > low else low + 1
    counts, edges, _ = np.histogram2d(predicted, values, bins=CELLS, range=[[low, high], [low, high]])
    figure, axes = _axes("Predicted", "True", "Out-of-fold predictions (middle 99 %)")
    mesh = axes.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), cmap="viridis")
    axes.plot([low, high], [low, high], "--", color="0.6")
    figure.colorbar(mesh, label="rows")
    _write(figure, path)


def plot_errors(values: Floats, predicted: Floats, path: Path) -> None:
    """Draw how large the errors are: the share of rows whose error is at most so much."""
    errors = np.sort(np.abs(values - predicted))
    places = np.linspace(0, len(errors) - 1, min(len(errors), 200)).astype(np.int64)
    figure, axes = _axes("Error at most", "Share of rows", "Errors of out-of-fold predictions")
    axes.set(ylim=(0, 1.02), xlim=(0, max(float(np.quantile(errors, 0.99)), 1e-12)))
    axes.plot(errors[places], (places + 1) / len(errors))
    _write(figure, path)


def unbalanced(probabilities: Floats, share: float) -> Floats:
    """Scores of a model with balanced class weights as probabilities, where `share` of all rows is positive."""
    positive = probabilities * share
    return np.asarray(positive / (positive + (1 - probabilities) * (1 - share)))


def _axes(x: str, y: str, title: str) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=(5, 4), layout="constrained")  # not pyplot: no backend, no global state
    axes = figure.add_subplot(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.3)
    return figure, axes


def _write(figure: Figure, path: Path) -> None:
    # A fixed salt and no date: the same data give the same file, so a refresh shows only real change.
    with mpl.rc_context({"svg.hashsalt": "predictq", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
