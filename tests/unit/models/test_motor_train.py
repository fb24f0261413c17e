from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from examples.motor_claims import train as motor
from examples.motor_claims.columns import FEATURES
from examples.motor_claims.dataset import generate
from model.training.run import Wish, train
from shared.models.signature import FeatureKind
from shared.models.task import Task


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("motor")
    with threadpool_limits(1):
        motor.train(directory, 0, lambda _step: None)
    return directory


def test_three_models_are_saved_and_know_something(trained: Path) -> None:
    """Each is better than chance on rows that it has not seen."""
    figures = json.loads((trained / "figures.json").read_text())
    assert 0.7 < figures["churn"]["roc_auc"] < 0.95
    assert 0.3 < figures["severity"]["r2"] < 0.9
    assert 0.5 < figures["risk"]["accuracy"] < 0.9


def test_the_files_answer_without_this_repository(trained: Path) -> None:
    """They are plain scikit-learn: any Python that has it answers, gaps in every column that may have them."""
    rows = motor.as_read(next(generate(300, seed=9)))
    rows.loc[::7, ["contact_channel", "has_legal_cover", "vehicle_value", "last_contact_at"]] = [np.nan] * 3 + [pd.NaT]
    pd.to_pickle(rows, trained / "rows.pkl")
    code = (
        "import joblib, numpy, pandas, sys\n"
        "rows = pandas.read_pickle('rows.pkl')\n"
        "for name, width in (('churn', 2), ('risk', 3), ('severity', 0)):\n"
        "    model = joblib.load(name + '.joblib')\n"
        "    found = model.predict_proba(rows) if width else model.predict(rows)\n"
        "    assert found.shape == ((300, width) if width else (300,)) and numpy.isfinite(found).all()\n"
        "    assert list(model.feature_names_in_) == list(rows.columns)\n"
        "assert not {'model', 'shared', 'examples'} & {name.partition('.')[0] for name in sys.modules}\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=trained, env={"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_classes_are_words_and_new_words_are_taken_or_refused_as_the_encoder_says(trained: Path) -> None:
    """Churn ignores a region that it has not seen, risk refuses it."""
    rows = motor.as_read(next(generate(3, seed=9))).assign(region="Corse")
    churn, risk = (joblib.load(trained / f"{name}.joblib") for name in ("churn", "risk"))
    assert churn.classes_.tolist() == ["No", "Yes"]
    assert risk.classes_.tolist() == ["high", "low", "middle"]
    assert np.isfinite(churn.predict_proba(rows)).all()
    with pytest.raises(ValueError, match="Corse"):
        risk.predict_proba(rows)


def test_the_commands_are_those_of_a_user(trained: Path) -> None:
    """A source, then each model: registered from its file, checked, promoted."""
    commands = motor._commands(trained)
    assert commands[0] == ["sources", "add", "policyholders", "--table", "crm.policies", "--key", "policy_no"]
    assert [command[0] for command in commands[1:]] == ["models", "models", "promote"] * 3
    assert all(Path(command[3]).exists() for command in commands if command[1] == "register")


def test_the_generic_training_learns_the_same_table() -> None:
    """Text keys and postcodes are left out or taken together, times are no obstacle, the task is told by the target."""
    rows = next(generate(1500, seed=4)).astype({"open_complaints": float, "annual_mileage": float})
    drop = ("risk_class", "claim_severity")
    result = train(rows, Wish("churned", drop=drop, splits=2))
    assert (result.target.task, result.target.classes) == (Task.BINARY, ("No", "Yes"))
    assert "policy_no" in result.left_out
    assert result.metrics["roc_auc"].mean > 0.68
    assert {spec.name: spec.dtype for spec in result.signature.features if spec.kind is FeatureKind.DATETIME} == {
        **dict.fromkeys(("birth_date", "licence_date", "policy_start", "first_registered"), "datetime64[us]"),
        "last_contact_at": "datetime64[us, UTC]",
    }
    assert set(result.signature.names) <= set(FEATURES)
