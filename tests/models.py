"""Models for the tests: a plain one, and ones that misbehave on chosen clients.

They are importable by name, because a worker process has to unpickle them.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from shared.models.signature import FeatureKind, FeatureSpec, Signature

SIGNATURE = Signature(
    (
        FeatureSpec("age", FeatureKind.INTEGER, minimum=14, maximum=120),
        FeatureSpec("monthly_income", FeatureKind.INTEGER, nullable=True),
        FeatureSpec("department", FeatureKind.CATEGORY, categories=("Research & Development", "Sales")),
        FeatureSpec("over_time", FeatureKind.BOOLEAN),
    )
)


def right_answer(age: int, monthly_income: int | None, department: str, over_time: bool) -> float:
    """The probability that TestModel gives, worked out by hand: what the tests hold answers against."""
    income = 0 if monthly_income is None else monthly_income
    return (age * 7 + income * 3 + len(department) * 11 + int(over_time) * 13) % 1000 / 1000


@dataclass
class TestModel:
    """Answers `right_answer`; ages 60…63 make it misbehave when `poisonous`."""

    __test__ = False  # not a test case, whatever pytest thinks of the name
    poisonous: bool = False
    offset: float = 0.0  # added to every answer, to tell versions apart

    def __post_init__(self) -> None:
        self.classes_ = np.array([0, 1])

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        ages = features["age"].to_numpy()
        if self.poisonous:
            self._misbehave(ages)
        income = features["monthly_income"].fillna(0).to_numpy()
        lengths = features["department"].str.len().to_numpy()
        total = ages * 7 + income * 3 + lengths * 11 + features["over_time"].to_numpy() * 13
        positive = total.astype(np.int64) % 1000 / 1000 + self.offset
        if self.poisonous:
            positive = np.where(ages == 63, np.nan, positive)
        return np.column_stack([1 - positive, positive])

    @staticmethod
    def _misbehave(ages: npt.NDArray[np.int64]) -> None:
        if 60 in ages:
            raise ValueError("age 60 is more than I can take")
        if 61 in ages:
            os.kill(os.getpid(), signal.SIGKILL)
        if 62 in ages:
            time.sleep(3600)


@dataclass
class SlowModel(TestModel):
    """Takes `seconds` for every call of at least `least_rows`."""

    seconds: float = 1.0
    least_rows: int = 0

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2), after a pause."""
        if len(features) >= self.least_rows:
            time.sleep(self.seconds)
        return super().predict_proba(features)


@dataclass
class WritingModel(TestModel):
    """Writes into the rows that it is given, once it has its answers."""

    def predict_proba(self, features: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        answers = super().predict_proba(features)
        for name in ("age", "monthly_income"):
            np.asarray(features[name].array)[:] = 77
            features.loc[:, name] = 77
        return answers


@dataclass
class OnLoading:
    """A pickle of it hangs, dies, exits or raises while it is loaded."""

    what: str

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _misbehave, (self.what,)


def _misbehave(what: str) -> None:
    if what == "hangs":
        time.sleep(3600)
    elif what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exits":
        raise SystemExit(7)
    else:
        raise RuntimeError(f"this pickle {what}")


class NoClasses(Ridge):  # type: ignore[misc]
    """A regression that has a list of classes, with none in it, as CatBoost's has."""

    @property
    def classes_(self) -> list[object]:
        """None."""
        return []


class Wrapper:
    """A class of somebody's own around a model: it says nothing of classes."""

    def __init__(self, inside: Any = None) -> None:
        self.inside = inside

    def fit(self, rows: Any, labels: Any) -> Wrapper:
        """Of what is inside."""
        self.feature_names_in_ = np.array(rows.columns, dtype=object)
        if self.inside is not None:
            self.inside.fit(rows, labels)
        return self

    def predict_proba(self, rows: Any) -> npt.NDArray[np.float64]:
        """Shape (rows, 2)."""
        found: npt.NDArray[np.float64] = self.inside.predict_proba(rows)
        return found


class PriorShift(LogisticRegression):  # type: ignore[misc]
    """A logistic regression whose odds are corrected for the share of the positive class."""

    def predict_proba(self, rows: Any) -> npt.NDArray[np.float64]:
        """Shape (rows, 2): a tenth of the odds."""
        odds = super().predict_proba(rows)[:, 1] / super().predict_proba(rows)[:, 0] / 10
        return np.column_stack([1 / (1 + odds), odds / (1 + odds)])


class SeveralLabels(LogisticRegression):  # type: ignore[misc]
    """Two labels a row, and classes 0 and 1, as CatBoost and XGBoost have them: each probability is of another one."""

    def predict(self, rows: Any) -> npt.NDArray[np.int64]:
        """Shape (rows, 2)."""
        return np.asarray(self.predict_proba(rows) > 0.5, dtype=np.int64)

    def predict_proba(self, rows: Any) -> npt.NDArray[np.float64]:
        """Shape (rows, 2): of the two labels."""
        first = super().predict_proba(rows)[:, 1]
        return np.column_stack([first, first**2])


class ThresholdOfMine(LogisticRegression):  # type: ignore[misc]
    """A class whose `predict` goes by a threshold of its own, which nothing tells."""

    def predict(self, rows: Any) -> Any:
        """The labels, (rows,)."""
        return self.classes_[(self.predict_proba(rows)[:, 1] > 0.3).astype(int)]


class ThresholdOfBooster(ThresholdOfMine):
    """The same, told as CatBoost tells what set_probability_threshold has set."""

    told: Any = 0.3

    def get_probability_threshold(self) -> float:
        """From which probability of the second class on it is the label."""
        if self.told is None:
            raise ValueError("not for more than two classes")
        return float(self.told)


class ProbabilitiesAlone(LogisticRegression):  # type: ignore[misc]
    """A class whose `predict` tells the probabilities, as those of neural networks do."""

    def predict(self, rows: Any) -> npt.NDArray[np.float64]:
        """Shape (rows, classes)."""
        return np.asarray(self.predict_proba(rows), dtype=np.float64)


class ScalerOfMine(StandardScaler):  # type: ignore[misc]
    """A scaler that scales otherwise."""

    def transform(self, rows: Any, copy: bool | None = None) -> Any:
        """Twice what a scaler gives."""
        return super().transform(rows, copy=copy) * 2


class Odd(BaseEstimator, ClassifierMixin):  # type: ignore[misc]
    """A fitted classifier on numbers, odd in the way that `how` says."""

    def __init__(self, how: str = "") -> None:
        self.how = how

    def fit(self, rows: pd.DataFrame, labels: Any) -> Odd:
        """Remember what a real one would."""
        self.classes_ = np.unique(labels)
        self.feature_names_in_ = np.array(rows.columns, dtype=object)
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        """The class that is more probable."""
        return self.classes_[np.argmax(np.asarray(self.predict_proba(rows)), axis=1)]

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        """Shape (rows, 2), or not."""
        positive = 1 / (1 + np.exp(-rows["pay"].to_numpy(dtype=float)))
        right = np.column_stack([1 - positive, positive])
        ways: dict[str, Any] = {
            "flat": lambda: positive,
            "one column": lambda: positive[:, None],
            "none": lambda: None,
            "sparse": lambda: csr_matrix(right),
            "three columns": lambda: np.column_stack([right, positive]),
            "complex": lambda: right + 0j,
            "one row": lambda: right[:1],
            "per cent": lambda: right * 100,
            "nan": lambda: right * np.nan,
            "rounding": lambda: np.where(right > 0.5, 1 + 4e-16, np.where(right <= 0.5, -1e-17, right)),
            "frame": lambda: pd.DataFrame(right),
            "list": right.tolist,
            "float32": lambda: right.astype(np.float32),
            "not of classes": lambda: np.column_stack([1 - positive**2, positive]),
            "sorted": lambda: right[np.argsort(positive)],
            "mean": lambda: np.column_stack([1 - positive, positive * 0.9 + positive.mean() / 10]),
            "random": lambda: np.random.default_rng().random((len(rows), 2)),
            "seterr": lambda: np.seterr(all="raise") and right,
        }
        return ways.get(self.how, lambda: right)()


class Says(BaseEstimator):  # type: ignore[misc]
    """No classifier by its word; `predict` answers with `what` for each row."""

    def __init__(self, what: Any = 0.0) -> None:
        self.what = what

    def fit(self, rows: pd.DataFrame, _: Any = None) -> Says:
        """Remember the names."""
        self.feature_names_in_ = np.array(rows.columns, dtype=object)
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        """Shape (rows,)."""
        return np.array([self.what] * len(rows))


def as_text(rows: Any) -> Any:
    """Each number as a text, whose form depends on the dtype."""
    return rows.astype(str)


def codes(rows: pd.DataFrame) -> Any:
    """Category codes by the words of this very batch: they mean something else in the next one."""
    return rows.apply(lambda column: column.astype("category").cat.codes)


def logit_of_share(values: Any) -> Any:
    """Of what lies between 0 and 1."""
    return np.log(values / (1 - values))


def only_thousands(values: Any) -> Any:
    """What no drawn number is."""
    if not (np.asarray(values) >= 1000).all():
        raise ValueError("thousands alone")
    return values


def numbers_of_sexes(rows: pd.DataFrame) -> Any:
    """By a table of two words."""
    return rows.apply(lambda column: column.map({"M": 0, "F": 1}))
