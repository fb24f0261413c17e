"""One fit: settings, then threshold, then the estimator, all from the same rows and from no other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from model.metrics import Floats, Labels, choose_threshold
from model.pipeline import RECIPES

FOLDS = 5
REPEATS = 3  # out-of-fold probabilities are averaged over these, which steadies the threshold


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted pipeline, its threshold, and the settings that cross-validation chose for it.

    `out_of_fold`, (rows,), are the probabilities of the rows it was fitted on, by models that had not seen them.
    """

    pipeline: Pipeline
    threshold: float
    out_of_fold: Floats
    settings: dict[str, float]


def fit(estimator: str, seed: int, features: pd.DataFrame, labels: Labels) -> Fitted:
    """Fit the recipe of that name; labels, (rows,), are 0 or 1."""
    # One thread: tables this narrow gain little from more, and on a busy machine threads mostly wait for each other.
    with threadpool_limits(1):
        return _fit(estimator, seed, features, labels)


def _fit(estimator: str, seed: int, features: pd.DataFrame, labels: Labels) -> Fitted:
    pipeline = RECIPES[estimator].build(seed)
    settings = _best_settings(estimator, seed, pipeline, features, labels)
    pipeline[-1].set_params(**settings)
    out_of_fold = np.mean(
        [
            cross_val_predict(pipeline, features, labels, cv=_folds(seed + repeat), method="predict_proba")[:, 1]
            for repeat in range(REPEATS)
        ],
        axis=0,
    )
    return Fitted(pipeline.fit(features, labels), choose_threshold(labels, out_of_fold), out_of_fold, settings)


def _best_settings(
    estimator: str, seed: int, pipeline: Pipeline, features: pd.DataFrame, labels: Labels
) -> dict[str, float]:
    choices = RECIPES[estimator].choices
    if not choices:
        return {}
    # Medians and scales need no labels: computing them once for all folds gives nothing away, and halves the time.
    encoded = clone(pipeline[:-1]).fit_transform(features)
    search = GridSearchCV(pipeline[-1], dict(choices), scoring="average_precision", cv=_folds(seed), refit=False)
    return dict(search.fit(encoded, labels).best_params_)


def _folds(seed: int) -> StratifiedKFold:
    return StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
