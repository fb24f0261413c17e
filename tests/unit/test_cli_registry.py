"""Wrapping models of others: what fits is taken, and what does not is named before any job meets it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from cli.errors import FileRefused, UsageProblem
from cli.registry import read_artefact
from examples.hr_attrition.dataset import generate
from examples.hr_attrition.training import train_sample
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
    people = pd.concat(generate(100, 1), ignore_index=True)[list(CLIENT_FEATURE_NAMES)]
    path = dumped(tmp_path, DummyClassifier(strategy="prior").fit(people, ["stays", "leaves"] * 50))
    found = read_artefact(path, None, 0.5, "leaves").metadata
    assert found.signature.names == CLIENT_FEATURE_NAMES
    assert {spec.column_type for spec in found.signature.features} == {"integer", "text", "boolean"}
    assert found.classes == ("stays", "leaves")


def test_the_files_own_bytes_are_registered(tmp_path: Path) -> None:
    """The digest is that of the user's file, and a lambda in a cloudpickle file does no harm."""
    model = Pipeline([("double", FunctionTransformer(lambda frame: frame * 2)), ("last", LogisticRegression())])
    path = tmp_path / "mine.joblib"
    path.write_bytes(cloudpickle.dumps(model.fit(np.eye(2), [0, 1])))
    found = read_artefact(path, signature(tmp_path), 0.5, None)
    assert found.content == path.read_bytes()
    assert found.metadata.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_does_not_fit_is_named(tmp_path: Path, fitted: LogisticRegression) -> None:
    """Each mistake has an error of its own that says what to do."""
    path = dumped(tmp_path, fitted)
    with pytest.raises(FileRefused, match="does not say what its 2 features are called"):
        read_artefact(path, None, 0.5, "1")
    with pytest.raises(FileRefused, match="cannot score a row of this signature"):
        read_artefact(path, signature(tmp_path, {"features": FEATURES[:1]}), 0.5, "1")
    with pytest.raises(FileRefused, match="positive class 'leaves' is not among them"):
        read_artefact(path, signature(tmp_path), 0.5, "leaves")
    with pytest.raises(FileRefused, match="a signature looks like"):
        read_artefact(path, signature(tmp_path, {}), 0.5, "1")
    with pytest.raises(FileRefused, match="holds text, not a model"):
        read_artefact(signature(tmp_path), None, 0.5, "1")
    with pytest.raises(FileRefused, match="threshold must be from 0 to 1; got 5"):
        read_artefact(path, signature(tmp_path), 5, "1")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    """The limit is stated, and asked before a byte is read."""
    path = tmp_path / "huge.joblib"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(FileRefused, match=r"1,000,000 MB; the most is 200 MB. Save it with joblib's compress=3"):
        read_artefact(path, None, 0.5, None)


def test_a_saved_training_can_be_registered_elsewhere(tmp_path: Path) -> None:
    """The directory of `train --output` holds all that is needed, plots and figures too."""
    result = train_sample(next(generate(400, seed=1)), seed=1, splits=2)
    save_training(result, tmp_path)
    assert read_artefact(tmp_path, None, None, None).metadata == result.artefact.metadata
    plots = sorted(path.name for path in tmp_path.rglob("*.svg"))
    assert plots == ["calibration.svg", "precision_recall.svg"]
    with pytest.raises(UsageProblem, match=r"register .*model\.joblib"):
        read_artefact(tmp_path, None, 0.4, None)
