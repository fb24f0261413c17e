"""Tables and models of somebody who has nothing to do with the sample, for the session that she would type."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io
from psycopg2.extensions import parse_dsn
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sqlalchemy import create_engine, text

ROWS = 600
NUMBERS, WORDS = ["age", "premium", "bonus"], ["region", "vehicle"]
REGIONS = ["Rhône", "Nord", "Île-de-France", "Var"]
COUNTRIES = ["FR", "ÉS", 'D"E']
COLUMNS = """age integer NOT NULL, region text NOT NULL, premium numeric(10,2) NOT NULL, bonus double precision,
             has_garage boolean NOT NULL, vehicle varchar(20), since date NOT NULL"""

# Another database of the same server, and its table seen from here.
FOREIGN = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname '{database}');
CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (user '{user}', password '{password}');
CREATE SCHEMA far;
IMPORT FOREIGN SCHEMA crm LIMIT TO (contracts) FROM SERVER elsewhere INTO far;
"""
VIEW = """
CREATE TABLE crm.cars AS SELECT number, region, premium, vehicle, has_garage FROM crm.motor_all;
CREATE TABLE crm.drivers AS SELECT number, age, bonus, since FROM crm.motor_all;
ALTER TABLE crm.cars ADD PRIMARY KEY (number);
ALTER TABLE crm.drivers ADD PRIMARY KEY (number);
CREATE VIEW crm."Motor claims" AS SELECT * FROM crm.cars JOIN crm.drivers USING (number);
"""


def policyholders(seed: int) -> pd.DataFrame:
    """Rows of mixed types with gaps, without a key."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS),
            "region": random.choice(REGIONS, ROWS),
            "premium": random.gamma(3, 200, ROWS).round(2),
            "bonus": random.random(ROWS),
            "has_garage": random.random(ROWS) < 0.4,
            "vehicle": pd.Series(random.choice(["car", "van", "bike"], ROWS), dtype=object),
            "since": pd.to_datetime("2015-01-01") + pd.to_timedelta(random.integers(0, 3000, ROWS), unit="D"),
        }
    )
    frame.loc[random.random(ROWS) < 0.1, "bonus"] = np.nan
    frame.loc[random.random(ROWS) < 0.05, "vehicle"] = None
    return frame


def make_tables(own: str, elsewhere: str) -> None:
    """A table and a view in the database `own`; two tables in `elsewhere`, one of them seen from `own`, too."""
    numbers = np.arange(1, ROWS + 1)
    uuids = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in numbers]
    countries = [COUNTRIES[number % 3] for number in numbers]
    _fill(own, "policyholders", "policy_no text PRIMARY KEY", {"policy_no": [f"P-{n:08d}" for n in numbers]}, seed=1)
    _fill(elsewhere, '"Holders"', '"Id" uuid PRIMARY KEY', {"Id": uuids}, seed=2)
    key = "country text, no integer, PRIMARY KEY (country, no)"
    _fill(elsewhere, "contracts", key, {"country": countries, "no": numbers // 3}, seed=3)
    _fill(own, "motor_all", "number bigint PRIMARY KEY", {"number": numbers * 7_000_000_000}, seed=4)
    where = parse_dsn(elsewhere.replace("+psycopg2", ""))
    foreign = FOREIGN.format(
        host=where["host"], port=where["port"], database=where["dbname"], user=where["user"], password=where["password"]
    )
    engine = create_engine(own)
    with engine.begin() as connection:
        connection.execute(text(VIEW))
        connection.execute(text(foreign))
    engine.dispose()


def _fill(url: str, table: str, key: str, keys: dict[str, Any], *, seed: int) -> None:
    engine = create_engine(url)
    frame = policyholders(seed).assign(**keys)
    names = ", ".join(f'"{name}"' for name in frame.columns)
    values = ", ".join(f":{name}" for name in frame.columns)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS crm"))
        connection.execute(text(f"CREATE TABLE crm.{table} ({COLUMNS}, {key})"))
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        connection.execute(text(f"INSERT INTO crm.{table} ({names}) VALUES ({values})"), rows)
    engine.dispose()


def read(url: str, table: str) -> pd.DataFrame:
    """A table as its owner reads it to train a model."""
    engine = create_engine(url)
    try:
        return pd.read_sql(f"SELECT * FROM {table}", engine)
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Trained:
    """A fitted estimator in a file, and its own answers to a frame: (n,) values, or (n, classes) and the labels."""

    path: Path
    estimator: Any
    classes: list[Any]  # empty of a regression
    signature: Path | None = None  # what must be said beside the file

    def answers(self, frame: pd.DataFrame) -> Any:
        """Of the frame as it was read."""
        return self.estimator.predict_proba(frame) if self.classes else self.estimator.predict(frame)


def _pull(frame: pd.DataFrame) -> Any:
    noise = np.random.default_rng(9).normal(0, 1, len(frame))
    pull = (frame.age - 45) / 20 + (frame.premium - 600) / 400 - frame.bonus.fillna(0.5)
    return pull + (frame.region == "Rhône") * 1.2 + noise


def _prepared(last: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore"))
    return make_pipeline(make_column_transformer((numbers, NUMBERS), (words, WORDS)), last)


def churn(frame: pd.DataFrame, directory: Path) -> Trained:
    """Two classes, in a file of joblib."""
    labels = np.where(_pull(frame) > 0, "Yes", "No")
    features = frame[[*NUMBERS, *WORDS, "has_garage"]]
    estimator = _prepared(LogisticRegression(max_iter=500)).fit(features, labels)
    joblib.dump(estimator, directory / "churn.joblib")
    return Trained(directory / "churn.joblib", estimator, ["No", "Yes"])


def severity(frame: pd.DataFrame, directory: Path) -> Trained:
    """A regression, in a file of skops."""
    return _regression(Ridge(), frame, directory)


def boosted(frame: pd.DataFrame, directory: Path) -> Trained:
    """A regression whose file of skops holds a type that must be allowed by name."""
    return _regression(HistGradientBoostingRegressor(max_iter=20), frame, directory)


def _regression(last: Any, frame: pd.DataFrame, directory: Path) -> Trained:
    estimator = _prepared(last).fit(frame[[*NUMBERS, *WORDS]], np.exp(6 + _pull(frame) / 3))
    (directory / "severity.skops").write_bytes(skops.io.dumps(estimator))
    return Trained(directory / "severity.skops", estimator, [])


def risk(frame: pd.DataFrame, directory: Path) -> Trained:
    """Three classes, in a file of joblib."""
    pull = _pull(frame)
    labels = np.select([pull < -0.5, pull < 1], ["low", "medium"], "high")
    estimator = _prepared(RandomForestClassifier(20, max_depth=6, random_state=0)).fit(frame[NUMBERS + WORDS], labels)
    joblib.dump(estimator, directory / "risk.joblib")
    return Trained(directory / "risk.joblib", estimator, list(estimator.classes_))


class WithCategories:
    """A booster as its owner asks it: words as pandas categories with the lists of the training."""

    def __init__(self, estimator: Any, frame: pd.DataFrame) -> None:
        self.estimator = estimator
        self.lists = {name: sorted(frame[name].dropna().unique(), reverse=True) for name in WORDS}

    def prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        words = {name: pd.Categorical(frame[name], categories=words) for name, words in self.lists.items()}
        return frame[[*NUMBERS, *WORDS, "has_garage"]].assign(**words)

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return self.estimator.predict_proba(self.prepared(frame))


def lightgbm(frame: pd.DataFrame, directory: Path) -> Trained:
    """Two classes, 0 and 1, of a booster that was trained on pandas categories."""
    from lightgbm import LGBMClassifier

    asked = WithCategories(LGBMClassifier(n_estimators=15, verbose=-1, n_jobs=1), frame)
    asked.estimator.fit(asked.prepared(frame), (_pull(frame) > 0).astype(int))
    joblib.dump(asked.estimator, directory / "lightgbm.joblib")
    return Trained(directory / "lightgbm.joblib", asked, [0, 1])


def xgboost(frame: pd.DataFrame, directory: Path) -> Trained:
    """Three classes, which are numbers. XGBoost garbles words beyond ASCII in its file, so their lists are said."""
    from xgboost import XGBClassifier

    asked = WithCategories(XGBClassifier(n_estimators=8, enable_categorical=True, n_jobs=1), frame)
    asked.estimator.fit(asked.prepared(frame), np.digitize(_pull(frame), [-0.5, 1]))
    joblib.dump(asked.estimator, directory / "xgboost.joblib")
    features: list[dict[str, Any]] = [
        {"name": name, "kind": "integer" if name == "age" else "number", "nullable": True, "dtype": "float64"}
        for name in NUMBERS
    ]
    features += [
        {"name": name, "kind": "category", "dtype": "category", "nullable": True, "categories": words}
        for name, words in asked.lists.items()
    ]
    features.append({"name": "has_garage", "kind": "boolean", "nullable": True, "dtype": "float64"})
    (directory / "signature.json").write_text(json.dumps({"features": features}))
    return Trained(directory / "xgboost.joblib", asked, [0, 1, 2], directory / "signature.json")


class Graph:
    """A graph in ONNX as its owner asks it: by onnxruntime itself, with float32."""

    def __init__(self, content: bytes, names: list[str]) -> None:
        from onnxruntime import InferenceSession

        self.session = InferenceSession(content, providers=["CPUExecutionProvider"])
        self.names = names

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        given = {name: frame[[name]].to_numpy(np.float32) for name in self.names}
        return np.array([[row["no"], row["yes"]] for row in self.session.run(None, given)[1]], dtype=float)


def onnx(frame: pd.DataFrame, directory: Path) -> Trained:
    """A pipeline converted to ONNX, an input for each feature. Its labels are those of the original."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    names = ["age", "premium", "bonus"]
    labels = np.where(_pull(frame) > 0, "yes", "no")
    steps = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), names))
    original = make_pipeline(steps, LogisticRegression()).fit(frame[names], labels)
    inputs = [(name, FloatTensorType([None, 1])) for name in names]
    content = bytes(convert_sklearn(original, initial_types=inputs).SerializeToString())
    (directory / "claims.onnx").write_bytes(content)
    graph = Graph(content, names)
    graph.original = original
    return Trained(directory / "claims.onnx", graph, ["no", "yes"])
