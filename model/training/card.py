"""Writing a training down: the figures of the model card in Markdown, and its plots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sklearn

from model.training.metrics import Interval
from model.training.plots import (
    plot_calibration,
    plot_confusion,
    plot_errors,
    plot_precision_recall,
    plot_predicted,
)
from model.training.run import TEST_SHARE, TrainingResult
from shared.models.task import Task
from shared.sentences import count_of

CARD = "README.md"
START, END = "<!-- figures: written by write_report -->", "<!-- end of figures -->"

NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision on the positive class",
    "recall": "Recall of the positive class",
    "f1": "F1 on the positive class",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "macro_f1": "F1, mean over the classes",
    "log_loss": "Log loss",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "r2": "R²",
}
_PLOTS = {
    Task.BINARY: ("calibration", "precision_recall"),
    Task.MULTICLASS: ("calibration", "confusion"),
    Task.REGRESSION: ("predicted", "errors"),
}


def write_report(result: TrainingResult, directory: Path | str) -> None:
    """Write the two plots of the task into plots/, and refresh the figures in README.md.

    Only what stands between the two markers of the card is replaced; a card that is missing is begun.
    """
    folder = Path(directory)
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    _plot(result, plots)
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.exists() else _begun(result)
    card.write_text(_refreshed(text, figures_text(result)), encoding="utf-8")


def figures_text(result: TrainingResult) -> str:
    """The figures of a training as Markdown."""
    kind = "" if result.target.task is Task.REGRESSION else "stratified "
    lines = [
        f"Estimator `{result.estimator}`, scikit-learn {sklearn.__version__}.",
        f"Trained on {_rows(result)}{_about(result)}.",
        f"{_threshold(result)}Settings chosen by cross-validation: {_settings(result.fitted.settings)}.",
        "",
        f"Mean over {result.splits} {kind}splits with {TEST_SHARE:.0%} test rows, and its 95 % interval:",
        "",
        "| Figure | Mean | 95 % interval |",
        "|---|---|---|",
    ]
    lines += [f"| {NAMES[name]} | {' | '.join(interval_texts(value))} |" for name, value in result.metrics.items()]
    lines += ["", f"For comparison, {_constant(result)}."]
    if result.left_out:
        lines += ["", "| Column left out | Why |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(reason)} |" for name, reason in result.left_out.items()]
    return "\n".join(lines)


def about_text(result: TrainingResult) -> str:
    """What was trained on what, in a line without Markdown."""
    text = f"trained {result.estimator} on {_rows_short(result)}{_about(result)}".replace("`", "")
    threshold = result.fitted.threshold
    return text if threshold is None else f"{text}; threshold {threshold:.3f}"


def interval_texts(value: Interval) -> tuple[str, str]:
    """The mean and the interval for people: three decimals, fewer where the numbers are large."""
    size = max(abs(value.low), abs(value.high), abs(value.mean))
    places = 3 if size < 10 else 2 if size < 1000 else 0
    return f"{value.mean:,.{places}f}", f"{value.low:,.{places}f} – {value.high:,.{places}f}"


def _rows(result: TrainingResult) -> str:
    return f"{_rows_short(result)} (SHA-256 `{result.data.sha256[:12]}…`)"


def _rows_short(result: TrainingResult) -> str:
    return f"{count_of(len(result.target.values), 'row')} of {result.data.source}"


def _about(result: TrainingResult) -> str:
    target = result.target
    were = "was" if result.unlabelled == 1 else "were"
    unlabelled = (
        f"; {count_of(result.unlabelled, 'row')} without {target.name} {were} left out" if result.unlabelled else ""
    )
    for name, count in result.unfit.items():
        unlabelled += (
            f"; {count_of(count, 'row was', 'rows were')} left out whose {name} is a value that no feature can have"
        )
    if target.task is Task.REGRESSION:
        low, middle, high = np.quantile(target.values, [0, 0.5, 1])
        return (
            f", whose `{target.name}` is from {low:,.6g} to {high:,.6g}, half of them below {middle:,.6g}{unlabelled}"
        )
    counts = np.bincount(target.codes, minlength=len(target.classes))
    if target.task is Task.BINARY:
        return f", of which {counts[1]:,} have `{target.name}` = `{target.classes[1]}`{unlabelled}"
    shares = ", ".join(f"`{name}` {count:,}" for name, count in zip(target.classes, counts, strict=True))
    return f", by `{target.name}`: {shares}{unlabelled}"


def _threshold(result: TrainingResult) -> str:
    return "" if result.fitted.threshold is None else f"Threshold **{result.fitted.threshold:.4f}**. "


def _constant(result: TrainingResult) -> str:
    """What somebody reaches who looks at no feature."""
    target = result.target
    if target.task is Task.REGRESSION:
        error = np.abs(target.values - np.median(target.values)).mean()
        return f"the median as the answer for every row has a mean absolute error of {error:,.6g}"
    counts = np.bincount(target.codes, minlength=len(target.classes))
    commonest = target.classes[int(counts.argmax())]
    return f"`{commonest}` as the answer for every row has an accuracy of {counts.max() / counts.sum():.3f}"


def _settings(settings: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in settings.items()) or "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _begun(result: TrainingResult) -> str:
    pictures = "\n".join(f"![{name.replace('_', ' ')}](plots/{name}.svg)" for name in _PLOTS[result.target.task])
    features = "\n".join(
        f"| {_cell(spec.name)} | {spec.kind} | {'yes' if spec.nullable else 'no'} |"
        for spec in result.signature.features
    )
    return (
        f"# Model card: {result.target.name}\n\n{START}\n{END}\n\n{pictures}\n\nThe plots show out-of-fold answers for "
        "the training rows. The splits share rows, so the intervals are widened after Nadeau and Bengio (2003).\n\n"
        f"| Feature | Kind | May be missing |\n|---|---|---|\n{features}\n"
    )


def _plot(result: TrainingResult, plots: Path) -> None:
    target, found = result.target, result.fitted.out_of_fold
    if target.task is Task.REGRESSION:
        plot_predicted(target.values, found, plots / "predicted.svg")
        plot_errors(target.values, found, plots / "errors.svg")
    elif target.task is Task.MULTICLASS:
        is_right = (found.argmax(axis=1) == target.codes).astype(np.int64)
        plot_calibration(is_right, found.max(axis=1), plots / "calibration.svg", balanced=False)
        plot_confusion(target.codes, found, [str(one) for one in target.classes], plots / "confusion.svg")
    else:
        plot_calibration(target.codes, found, plots / "calibration.svg")
        plot_precision_recall(target.codes, found, result.fitted.threshold, plots / "precision_recall.svg")


def _refreshed(card: str, figures: str) -> str:
    before, start, rest = card.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        return f"{card.rstrip()}\n\n{START}\n{figures}\n{END}\n"
    return f"{before}{START}\n{figures}\n{END}{after}"
