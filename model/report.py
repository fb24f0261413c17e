"""Writing a training down: the two plots, and the figures of the model card."""

from __future__ import annotations

from pathlib import Path

from model.plots import plot_calibration, plot_precision_recall
from model.train import TEST_SHARE, TrainingResult

CARD = "README.md"
START, END = "<!-- figures: written by write_report -->", "<!-- end of figures -->"

NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision on leavers",
    "recall": "Recall of leavers",
    "f1": "F1 on leavers",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
}


def write_report(result: TrainingResult, directory: Path | str) -> None:
    """Write plots/calibration.svg and plots/precision_recall.svg, and refresh the figures in README.md.

    Only what stands between the two markers of the card is replaced; a card that is missing is begun.
    """
    folder = Path(directory)
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    report = result.report
    plot_calibration(report.labels, report.fitted.out_of_fold, plots / "calibration.svg")
    plot_precision_recall(
        report.labels, report.fitted.out_of_fold, report.fitted.threshold, plots / "precision_recall.svg"
    )
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.exists() else f"# Model card\n\n{START}\n{END}\n"
    card.write_text(_refreshed(text, figures_text(result)), encoding="utf-8")


def figures_text(result: TrainingResult) -> str:
    """The figures of a training as Markdown."""
    report, fitted = result.report, result.report.fitted
    versions = result.artefact.metadata.library_versions
    lines = [
        f"Estimator `{report.estimator}`, scikit-learn {versions['scikit-learn']}.",
        f"Trained on {len(report.labels):,} rows of {_source(result)}, of which {report.labels.sum():,} left.",
        f"Threshold **{fitted.threshold:.4f}**. Settings chosen by cross-validation: {_settings(fitted.settings)}.",
        "",
        f"Mean over {report.splits} stratified splits with {TEST_SHARE:.0%} test rows, and its 95 % interval:",
        "",
        "| Figure | Mean | 95 % interval |",
        "|---|---|---|",
    ]
    lines += [
        f"| {NAMES[name]} | {value.mean:.3f} | {value.low:.3f} – {value.high:.3f} |"
        for name, value in report.metrics.items()
    ]
    return "\n".join(lines)


def _source(result: TrainingResult) -> str:
    data = result.artefact.metadata.training_data
    return f"{data.source} (SHA-256 `{data.sha256[:12]}…`)" if data else "unnamed data"


def _settings(settings: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in settings.items()) or "none"


def _refreshed(card: str, figures: str) -> str:
    before, start, rest = card.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        return f"{card.rstrip()}\n\n{START}\n{figures}\n{END}\n"
    return f"{before}{START}\n{figures}\n{END}{after}"
