"""Wrapping models of others: what fits is taken, and what does not is named before any job meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from cli.errors import FileRefused, UsageProblem
from cli.registry import read_artefact
from examples.hr_attrition.dataset import generate
from examples.hr_attrition.training import train_sample
from model.errors import ArtefactError
from model.training.saving import save_training
from shared.sources.sample_features import CLIENT_FEATURE_NAMES

FEATURES = [{"name": "age", "kind": "integer", "minimum": 14}, {"name": "score", "kind": "number", "maximum": -1}]


@pytest.fixture
def fitted() -> LogisticRegression:
    return LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])


def dumped(directory: Path, estimator: Any) -> Path:
    path = directory / "mine.joblib"
    joblib.dump(estimator, path)
    return path


def signature(directory: Path, document: Any = None) -> Path:
    path = directory / "signature.json"
    path.write_text(json.dumps({"features": FEATURES} if document is None else document))
    return path


def test_an_estimator_of_ones_own_is_wrapped_with_its_signature(tmp_path: Path, fitted: LogisticRegression) -> None:
    """Name, threshold, features and positive class are those that were given."""
    found = read_artefact(dumped(tmp_path, fitted), signature(tmp_path), 0.25, "1").metadata
    assert (found.name, found.threshold, found.positive_class) == ("mine", 0.25, 1)
    assert found.signature.names == ("age", "score")


def test_the_clients_features_are_the_default_signature(tmp_path: Path) -> None:
    """A model of all the stored features needs no signature file; classes may be words."""
    path = dumped(tmp_path, DummyClassifier(strategy="prior").fit([[0], [1]], ["stays", "leaves"]))
    found = read_artefact(path, None, 0.5, "leaves").metadata
    assert found.signature.names == CLIENT_FEATURE_NAMES
    assert found.positive_class == "leaves"


def test_what_does_not_fit_is_named(tmp_path: Path, fitted: LogisticRegression) -> None:
    """Each mistake has an error of its own that says what to do."""
    path = dumped(tmp_path, fitted)
    with pytest.raises(UsageProblem, match="--threshold is needed"):
        read_artefact(path, None, None, "1")
    with pytest.raises(FileRefused, match="cannot score a row of this signature"):
        read_artefact(path, None, 0.5, "1")
    with pytest.raises(ArtefactError, match="positive class 'leaves' is not among them"):
        read_artefact(path, signature(tmp_path), 0.5, "leaves")
    with pytest.raises(FileRefused, match="is no signature, which looks like"):
        read_artefact(path, signature(tmp_path, {}), 0.5, "1")
    with pytest.raises(FileRefused, match="is no joblib file"):
        read_artefact(signature(tmp_path), None, 0.5, "1")
    with pytest.raises(ArtefactError, match="predict_proba"):
        read_artefact(dumped(tmp_path, LinearRegression().fit([[0.0], [1.0]], [0, 1])), None, 0.5, "1")


def test_an_open_list_of_words_is_not_tried(tmp_path: Path, fitted: LogisticRegression) -> None:
    """A word made up for a trial may rightly be refused, so there is none."""
    words = {"features": [{"name": "colour", "kind": "category"}]}
    assert read_artefact(dumped(tmp_path, fitted), signature(tmp_path, words), 0.5, "1")


def test_a_saved_training_can_be_registered_elsewhere(tmp_path: Path) -> None:
    """The directory of `train --output` holds all that is needed, plots and figures too."""
    result = train_sample(next(generate(400, seed=1)), seed=1, splits=2)
    save_training(result, tmp_path)
    assert read_artefact(tmp_path, None, None, "1").metadata == result.artefact.metadata
    plots = sorted(path.name for path in tmp_path.rglob("*.svg"))
    assert plots == ["calibration.svg", "precision_recall.svg"]
