"""The models of the torture runs: one that misbehaves on chosen clients, and one that the service compiles."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.models import SIGNATURE, TestModel

RAISES, KILLS, HANGS, NAN, SLOW = 60, 61, 62, 63, 64  # the ages that make the model misbehave
SLOW_SECONDS = 3.0


@dataclass
class TortureModel(TestModel):
    """`right_answer` plus the version's offset; ages 60…63 poison it, age 64 makes it slow."""

    poisonous: bool = True

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        if (features["age"].to_numpy() == SLOW).any():
            time.sleep(SLOW_SECONDS)
        return super().predict_proba(features)


def linear_model() -> Pipeline:
    """A fitted pipeline that is one sum, for clients with incomes of eight digits: workers use its compiled form."""
    random = np.random.default_rng(7)
    rows = 600
    frame = pd.DataFrame({
        "age": random.integers(18, 65, rows),
        "monthly_income": np.where(random.random(rows) < 0.05, np.nan, random.integers(10_000_000, 100_000_000, rows)),
        "department": random.choice(np.array(SIGNATURE.features[2].categories, dtype=object), rows),
        "over_time": random.random(rows) < 0.5,
    })  # fmt: skip
    share = frame["monthly_income"].fillna(0) / 100_000_000
    leaves = random.random(rows) < 1 / (1 + np.exp(3 * share - frame["over_time"] - frame["age"] / 60))
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "monthly_income"]),
        ("words", OneHotEncoder(categories=[list(SIGNATURE.features[2].categories)]), ["department"]),
        ("truths", "passthrough", ["over_time"]),
    ])  # fmt: skip
    return make_pipeline(columns, LogisticRegression()).fit(frame, leaves.astype(int))
