"""`predictq train` below the command line: what is kept of a training."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from cli.errors import UsageProblem
from cli.training import train_on_file
from model.artefact import read
from model.training.run import Wish
from model.training.saving import save_training
from shared.models.signature import Signature
from shared.models.task import Task


@pytest.fixture
def people(tmp_path: Path) -> Path:
    random = np.random.default_rng(2)
    size, owner = random.normal(10, 3, 120).round(2), random.random(120) < 0.5
    frame = pd.DataFrame({"größe": size, "owner": np.where(owner, "Yes", "No"), "price": size * 7 + 20 * owner})
    frame["state"] = np.where(frame["price"] + random.normal(0, 20, 120) > 80, "lapsed", "kept")
    path = tmp_path / "people.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_regression_is_kept_as_a_file_with_its_signature(people: Path, tmp_path: Path) -> None:
    """What `--output` writes can be opened anywhere; signature, card and plots lie beside it."""
    wish = Wish("price", drop=("state",), splits=2)
    result = train_on_file(people, wish, quiet=True)
    save_training(result, tmp_path / "out")
    assert result.target.task is Task.REGRESSION
    assert result.metrics["r2"].mean > 0.95
    model = joblib.load(tmp_path / "out" / "model.joblib")
    row = pd.DataFrame({"größe": [10.0], "owner": [True]})
    assert model.predict(row)[0] == pytest.approx(90, abs=5)
    signature = Signature.from_json(json.loads((tmp_path / "out" / "signature.json").read_text()))
    assert signature.names == ("größe", "owner")
    assert "R²" in (tmp_path / "out" / "README.md").read_text()


def test_a_binary_model_is_kept_as_the_registry_takes_it(people: Path, tmp_path: Path) -> None:
    """Its directory is registered as it is; the positive class is the word that was asked for."""
    wish = Wish("state", positive="lapsed", drop=("price",), splits=2)
    save_training(train_on_file(people, wish, quiet=True), tmp_path / "out")
    metadata = read(tmp_path / "out").metadata
    assert metadata.positive_class == "lapsed"
    assert metadata.training_data is not None
    assert (metadata.training_data.source, metadata.training_data.rows) == ("people.csv", 120)


def test_words_of_what_the_source_has_as_flags_are_refused_before_the_training(people: Path) -> None:
    """The registry would refuse the model a minute later; other columns, those left out and the target may be words."""
    frame = pd.read_csv(people).assign(parking=["oui", "non"] * 60)
    frame.to_csv(people, index=False)
    types = {"größe": "double precision", "owner": "boolean", "parking": "boolean", "state": "boolean"}
    source = {"name": "clients", "columns": [{"name": name, "type": of} for name, of in types.items()]}
    with pytest.raises(UsageProblem, match=r"parking is boolean in the source clients.*'non', 'oui'.*--drop parking"):
        train_on_file(people, Wish("state", splits=2), quiet=True, source=source)
    wish = Wish("state", positive="lapsed", drop=("parking",), splits=2)
    assert train_on_file(people, wish, quiet=True, source=source).signature.names == ("größe", "owner", "price")
