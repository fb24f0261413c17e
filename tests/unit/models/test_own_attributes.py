"""Classes of somebody's own may hold anything under a name that scikit-learn uses: they are served all the same."""

from __future__ import annotations

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from shared.models.task import Task
from shared.sources.source import SourceColumn
from worker.models.drawn.draw import draw_table
from worker.models.loaded_model import load_model
from worker.models.registration import Offer, prepare

_NAMES = (
    "steps", "transformers_", "transformer_list", "calibrated_classifiers_", "estimators_", "statistics_",
    "categories_", "vocabulary_", "mean_", "center_", "scale_", "data_min_", "data_max_", "bin_edges_", "quantiles_",
    "theta_", "var_", "tree_", "_predictors", "missing_values", "handle_unknown", "booster_", "threshold",
    "best_threshold_", "multilabel", "func", "add_indicator", "support_", "label_binarizer_", "_label_binarizer",
    "named_steps", "coef_", "intercept_",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    5,
    0.5,
    "north",
    ["north", "south"],
    [1, 2],
    [(1, 2)],
    {"a": 1},
    np.arange(2.0),
    None,
    object,
)


_COLUMNS = (SourceColumn("age", "integer"), SourceColumn("city", "text"))


class Own(ClassifierMixin, BaseEstimator):
    """Answers by the age alone."""

    def __init__(self) -> None:
        self.classes_ = np.array(["no", "yes"])
        self.feature_names_in_ = np.array(["age", "city"], dtype=object)
        self.n_features_in_ = 2

    def fit(self, _features: pd.DataFrame, _target: Any = None) -> Own:
        """It knows already."""
        return self

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Shape (rows, 2)."""
        share = np.clip(features["age"].to_numpy(dtype=float), 0, 100) / 100
        return np.column_stack([1 - share, share])

    def predict(self, features: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Shape (rows,)."""
        return self.classes_[(self.predict_proba(features)[:, 1] >= 0.5).astype(int)]


class Pipeline(Own):
    """A name of scikit-learn's, too."""


class StackingOfMine(Own):
    """The same, by its first letters."""


class FunctionTransformer(Own):
    """The same."""


class SimpleImputer(Own):
    """The same."""


_KINDS = (Own, Pipeline, StackingOfMine, FunctionTransformer, SimpleImputer, Own)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _NAMES)
def test_an_attribute_that_means_something_else_is_no_part_of_the_model(name: str) -> None:
    """It is registered and loaded, and gives the estimator's own answers; a word is no list of letters."""
    for number, value in enumerate(_VALUES):
        estimator = _KINDS[number % len(_KINDS)]()
        setattr(estimator, name, value)
        buffer = io.BytesIO()
        joblib.dump(estimator, buffer)
        artefact = prepare(Offer(buffer.getvalue(), "own", columns=_COLUMNS))
        assert artefact.metadata.task is Task.BINARY
        model = load_model(artefact, 1)
        table = draw_table(model.signature, 30)
        expected = estimator.predict_proba(table.to_pandas())[:, 1]
        np.testing.assert_array_equal(model.predict(table).values, expected)
        assert not any("n" in words for words in model.known_words.values()), (estimator, value)
