from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from model.artefact import build_artefact
from model.fingerprint import TrainingData
from model.fitting import Fitted
from model.metrics import Interval
from model.plots import unbalanced
from model.report import END, START, figures_text, write_report
from model.train import TrainingReport, TrainingResult
from shared.models.signature import FeatureKind, FeatureSpec, Signature


def made_up(settings: dict[str, float], data: TrainingData | None) -> TrainingResult:
    dummy = DummyClassifier().fit([[0], [1]], [0, 1])
    artefact = build_artefact(
        dummy, Signature((FeatureSpec("x", FeatureKind.NUMBER),)), 0.4, name="dummy", training_data=data
    )
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    scores = np.clip(0.4 * labels + random.random(200) * 0.6, 0, 1)
    figures = {"accuracy": Interval(0.871, 0.85, 0.89), "f1": Interval(0.613, 0.55, 0.67)}
    fitted = Fitted(Pipeline([("dummy", dummy)]), 0.4, scores, settings)
    return TrainingResult(artefact, TrainingReport("dummy", figures, 50, labels, fitted))


@pytest.fixture
def result() -> TrainingResult:
    return made_up({"C": 0.01}, TrainingData("a test", 200, "c0ffee" * 10))


def test_the_figures_are_all_told(result: TrainingResult) -> None:
    """Each figure stands with its interval; data, threshold and settings are named."""
    text = figures_text(result)
    assert "| Accuracy | 0.871 | 0.850 – 0.890 |" in text
    assert "| F1 on leavers | 0.613 | 0.550 – 0.670 |" in text
    assert "200 rows of a test (SHA-256 `c0ffeec0ffee…`)" in text
    assert "C = 0.01" in text
    assert "50 stratified splits" in text
    bare = figures_text(made_up({}, None))
    assert "unnamed data" in bare
    assert "cross-validation: none" in bare


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


def test_a_missing_card_is_begun(result: TrainingResult, tmp_path: Path) -> None:
    """A report can be written to an empty place."""
    write_report(result, tmp_path / "new")
    assert "| Accuracy |" in (tmp_path / "new" / "README.md").read_text()


def test_the_plots_are_the_same_for_the_same_data(result: TrainingResult, tmp_path: Path) -> None:
    """A refresh that changes no figure changes no file."""
    for folder in ("one", "two"):
        write_report(result, tmp_path / folder)
    for name in ("calibration.svg", "precision_recall.svg"):
        plot = (tmp_path / "one" / "plots" / name).read_bytes()
        assert plot.startswith(b"<?xml")
        assert plot == (tmp_path / "two" / "plots" / name).read_bytes()


def test_weights_can_be_taken_back() -> None:
    """A balanced score of a half is the share of leavers itself; certainty stays certain."""
    np.testing.assert_allclose(unbalanced(np.array([0.0, 0.5, 1.0]), 0.16), [0.0, 0.16, 1.0])
