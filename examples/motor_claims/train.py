"""Three models of the policies, in plain scikit-learn as their owner would write it, saved as files.

Nothing of predictq is imported here: this is what a user brings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from examples.motor_claims.columns import CHURN, FEATURES, KEY, RISK, SEVERITY
from examples.motor_claims.dataset import generate

ROWS = 20_000
STEPS = 3
SOURCE, VIEW = "policyholders", "crm.policies"

AMOUNTS = [
    "annual_premium",
    "bonus_malus",
    "late_payments",
    "open_complaints",
    "power_kw",
    "vehicle_value",
    "annual_mileage",
]
WORDS = ["region", "contact_channel", "vehicle_make", "body_type", "fuel_type"]
FLAGS = ["pays_monthly", "has_legal_cover", "parked_in_garage"]
DATES = ["birth_date", "licence_date", "policy_start", "first_registered"]
MOMENTS = ["last_contact_at"]

_FRAME: Any = pd.DataFrame  # its methods unpickle wherever pandas is


def train(directory: Path, seed: int, on_step: Callable[[int], None]) -> list[list[str]]:
    """Write churn.joblib, severity.joblib and risk.joblib (and .skops, where skops is installed) into `directory`.

    figures.json has a figure of each on a fifth of the rows. Returns the `predictq` commands that put them to work.
    `on_step` is told how many of STEPS are done.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = pd.concat(generate(ROWS, seed + 1), ignore_index=True)  # others than those that are loaded
    fit_rows, test_rows = train_test_split(rows, test_size=0.2, random_state=seed)
    figures: dict[str, dict[str, float]] = {}
    models = (("churn", CHURN, churn()), ("severity", SEVERITY, severity(seed)), ("risk", RISK, risk()))
    for step, (name, target, model) in enumerate(models, 1):
        model.fit(as_read(fit_rows), fit_rows[target].to_numpy())
        figures |= {name: _figure(model, as_read(test_rows), test_rows[target].to_numpy())}
        save(model, directory / name)
        on_step(step)
    (directory / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return _commands(directory)


def as_read(rows: pd.DataFrame) -> pd.DataFrame:
    """The features in the types in which a view gives them, where every column may be empty.

    Whole numbers and decimals are float64, texts and booleans object with NaN, dates datetime64[us].
    """
    frame = rows[list(FEATURES)].copy()
    for name in AMOUNTS:
        frame[name] = frame[name].astype("float64")
    for name in (*WORDS, "postcode", *FLAGS):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), np.nan)
    return frame


def churn() -> Pipeline:
    """Yes or No, by a logistic regression; a word that it has not seen counts as none."""
    columns = ColumnTransformer(
        [
            ("amounts", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), AMOUNTS),
            ("words", OneHotEncoder(handle_unknown="ignore"), WORDS),
            ("flags", make_pipeline(_floats(), SimpleImputer(strategy="most_frequent")), FLAGS),
            ("dates", make_pipeline(_days("2000-01-01"), SimpleImputer(), StandardScaler()), DATES),
            ("moments", make_pipeline(_days("2000-01-01", "UTC"), SimpleImputer(), StandardScaler()), MOMENTS),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=1000))])


def severity(seed: int) -> Pipeline:
    """What a claim costs in euros, by 100 boosted trees, which take gaps as they are."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    columns = ColumnTransformer(
        [
            ("amounts", "passthrough", AMOUNTS),
            ("words", codes, WORDS),
            ("flags", _floats(), FLAGS),
            ("dates", _days("2000-01-01"), DATES),
        ]
    )
    return Pipeline([("columns", columns), ("model", HistGradientBoostingRegressor(random_state=seed))])


def risk() -> Pipeline:
    """Low, middle or high; a word that it has not seen is an error of its row."""
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="unknown"), OneHotEncoder(handle_unknown="error")
    )
    columns = ColumnTransformer(
        [
            ("amounts", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), AMOUNTS),
            ("words", words, ["region", "body_type", "fuel_type"]),
            ("dates", make_pipeline(_days("2000-01-01"), SimpleImputer(), StandardScaler()), ["birth_date"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=1000))])


def save(model: Pipeline, path: Path) -> None:
    """Write PATH.joblib, and PATH.skops where skops is installed."""
    joblib.dump(model, path.with_suffix(".joblib"))
    if find_spec("skops"):
        import_module("skops.io").dump(model, path.with_suffix(".skops"))


def _floats() -> FunctionTransformer:
    return FunctionTransformer(_FRAME.astype, kw_args={"dtype": "float64"})


def _days(since: str, zone: str | None = None) -> Pipeline:
    """Times as days since a date, NaN where there is none."""
    return make_pipeline(
        FunctionTransformer(_FRAME.sub, kw_args={"other": pd.Timestamp(since, tz=zone)}),
        FunctionTransformer(_FRAME.div, kw_args={"other": pd.Timedelta(days=1)}),
    )


def _figure(model: Pipeline, features: pd.DataFrame, truth: Any) -> dict[str, float]:
    if isinstance(model[-1], HistGradientBoostingRegressor):
        return {"r2": float(r2_score(truth, model.predict(features)))}
    if len(model.classes_) == 2:
        return {"roc_auc": float(roc_auc_score(truth == "Yes", model.predict_proba(features)[:, 1]))}
    return {"accuracy": float(accuracy_score(truth, model.predict(features)))}


def _commands(directory: Path) -> list[list[str]]:
    commands = [["sources", "add", SOURCE, "--table", VIEW, "--key", KEY]]
    for name in ("churn", "severity", "risk"):
        positive = ["--positive", "Yes"] if name == "churn" else []
        file = str(directory / f"{name}.joblib")
        commands += [["models", "register", name, file, "--source", SOURCE, *positive]]
        commands += [["models", "check", name], ["promote", name]]
    return commands
