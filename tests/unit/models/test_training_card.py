from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from model.fingerprint import TrainingData
from model.training.card import END, START, about_text, figures_text, interval_texts, write_report
from model.training.fitting import Fitted
from model.training.metrics import Interval
from model.training.plots import unbalanced
from model.training.run import TrainingResult
from model.training.target import Target
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.models.task import Task

SIGNATURE = Signature((FeatureSpec("a|b", FeatureKind.NUMBER, nullable=True), FeatureSpec("c", FeatureKind.BOOLEAN)))


def made_up(task: Task, **settings: float) -> TrainingResult:
    dummy = DummyClassifier().fit([[0], [1]], [0, 1])
    random = np.random.default_rng(0)
    codes = random.integers(0, 2 if task is Task.BINARY else 3, 200)
    classes: tuple[Any, ...] = {Task.BINARY: ("kept", "lapsed"), Task.MULTICLASS: ("A", "B", "C")}.get(task, ())
    values: Any = np.array(classes, dtype=object)[codes] if classes else random.exponential(1000, 200)
    figures = {"accuracy": Interval(0.871, 0.85, 0.89)} if classes else {"mae": Interval(412.3, 380.0, 444.6)}
    scores = np.clip(0.4 * codes + random.random(200) * 0.6, 0, 1)
    if task is Task.MULTICLASS:
        scores = random.dirichlet([1, 1, 1], 200)
    elif task is Task.REGRESSION:
        scores = values + random.normal(0, 100, 200)
    threshold = 0.4 if task is Task.BINARY else None
    fitted = Fitted(Pipeline([("dummy", dummy)]), threshold, scores, dict(settings))
    data = TrainingData("a test", 203, "c0ffee" * 10)
    return TrainingResult(
        "dummy", Target("state", task, values, classes), SIGNATURE, fitted, figures, 50, data, {"id": "it numbers"}, 3
    )


@pytest.fixture
def result() -> TrainingResult:
    return made_up(Task.BINARY, C=0.01)


def test_the_figures_are_all_told(result: TrainingResult) -> None:
    """Each figure stands with its interval; data, threshold, settings, a constant's figure and what was left out."""
    text = figures_text(result)
    assert "| Accuracy | 0.871 | 0.850 – 0.890 |" in text
    assert "200 rows of a test (SHA-256 `c0ffeec0ffee…`), of which" in text
    assert "have `state` = `lapsed`; 3 rows without state were left out" in text
    assert "Threshold **0.4000**. Settings chosen by cross-validation: C = 0.01." in text
    assert "50 stratified splits" in text
    assert "as the answer for every row has an accuracy of 0.5" in text
    assert "| id | it numbers |" in text
    assert "threshold 0.400" in about_text(result)
    assert "`" not in about_text(result)


def test_each_task_is_told_in_its_own_words() -> None:
    """No threshold where there is none, classes with their rows, a number with its span."""
    classes, number = (figures_text(made_up(task)) for task in (Task.MULTICLASS, Task.REGRESSION))
    assert "Threshold" not in classes + number
    assert ", by `state`: `A` " in classes
    assert "whose `state` is from" in number
    assert "| Mean absolute error | 412.30 | 380.00 – 444.60 |" in number
    assert "stratified" not in number
    assert "cross-validation: none" in number


def test_large_numbers_are_not_drowned_in_decimals() -> None:
    """Three decimals for shares, none for thousands."""
    assert interval_texts(Interval(0.5, 0.25, 0.75)) == ("0.500", "0.250 – 0.750")
    assert interval_texts(Interval(12345.6, 11000.0, 13000.0)) == ("12,346", "11,000 – 13,000")


@pytest.mark.parametrize(
    ("task", "names"),
    [
        (Task.BINARY, ["calibration.svg", "precision_recall.svg"]),
        (Task.MULTICLASS, ["calibration.svg", "confusion.svg"]),
        (Task.REGRESSION, ["errors.svg", "predicted.svg"]),
    ],
)
def test_a_missing_card_is_begun_with_the_plots_of_its_task(task: Task, names: list[str], tmp_path: Path) -> None:
    """A report can be written to an empty place; the card shows each picture and lists the features."""
    write_report(made_up(task), tmp_path / "new")
    card = (tmp_path / "new" / "README.md").read_text()
    assert sorted(path.name for path in (tmp_path / "new" / "plots").iterdir()) == names
    assert all(f"(plots/{name})" in card for name in names)
    assert "| a\\|b | number | yes |" in card
    assert card.startswith("# Model card: state\n")


def test_only_the_figures_of_the_card_are_replaced(result: TrainingResult, tmp_path: Path) -> None:
    """The prose of the card is kept; writing twice changes nothing more."""
    card = tmp_path / "README.md"
    card.write_text(f"before\n{START}\nold figures\n{END}\nafter\n")
    write_report(result, tmp_path)
    once = card.read_text()
    assert once.startswith("before\n")
    assert once.endswith("after\n")
    assert "old figures" not in once
    write_report(result, tmp_path)
    assert card.read_text() == once


def test_a_card_without_markers_keeps_its_words(result: TrainingResult, tmp_path: Path) -> None:
    """The figures go to the end, where there is no place made for them."""
    (tmp_path / "README.md").write_text("only words\n")
    write_report(result, tmp_path)
    assert (tmp_path / "README.md").read_text().startswith(f"only words\n\n{START}\n")


@pytest.mark.parametrize("task", list(Task))
def test_the_plots_are_the_same_for_the_same_data(task: Task, tmp_path: Path) -> None:
    """A refresh that changes no figure changes no file."""
    for folder in ("one", "two"):
        write_report(made_up(task), tmp_path / folder)
    for plot in (tmp_path / "one" / "plots").iterdir():
        assert plot.read_bytes() == (tmp_path / "two" / "plots" / plot.name).read_bytes()


def test_weights_are_taken_back_exactly() -> None:
    """A score of balanced classes becomes the share that it stands for."""
    assert unbalanced(np.array([0.5]), 0.1) == pytest.approx([0.1])
    assert unbalanced(np.array([0.0, 1.0]), 0.3) == pytest.approx([0.0, 1.0])
