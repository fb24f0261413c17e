"""One fit: settings, then threshold, then the estimator, all from the same rows and from no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from model.training.metrics import Floats, choose_threshold, score, score_classes, score_numbers
from model.training.recipes import Plan
from model.training.target import Target
from shared.models.task import Task

FOLDS = 5
REPEATS = 3  # out-of-fold probabilities are averaged over these, which steadies the threshold

# What the settings are chosen by.
_SCORING = {
    Task.BINARY: "average_precision",
    Task.MULTICLASS: "neg_log_loss",
    Task.REGRESSION: "neg_mean_squared_error",
}


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fitted pipeline, its threshold (binary alone), and the settings that cross-validation chose for it.

    `out_of_fold` are the answers for the rows it was fitted on, by models that had not seen them: the probability of
    the positive class, (rows,); of each class, (rows, classes); or the value, (rows,).
    """

    pipeline: Pipeline
    threshold: float | None
    out_of_fold: Floats
    settings: dict[str, float]

    def figures(self, features: pd.DataFrame, target: Target) -> dict[str, float]:
        """How good it is on rows that it has not seen, by figure."""
        found = answers(self.pipeline, features, target)
        if target.task is Task.REGRESSION:
            return score_numbers(target.values, found)
        if self.threshold is None:
            return score_classes(target.codes, found)
        return score(target.codes, found, self.threshold)


def fit(plan: Plan, features: pd.DataFrame, target: Target) -> Fitted:
    """Fit the pipeline of `plan`."""
    # One thread: tables this narrow gain little from more, and on a busy machine threads mostly wait for each other.
    with threadpool_limits(1):
        return _fit(plan, features, target)


def answers(pipeline: Pipeline, features: pd.DataFrame, target: Target) -> Floats:
    """What `pipeline` answers, in the order of the target's classes; the shapes are those of `Fitted.out_of_fold`."""
    if target.task is Task.REGRESSION:
        return np.asarray(pipeline.predict(features), dtype=np.float64)
    return _in_order(pipeline.predict_proba(features), target)


def _in_order(probabilities: Any, target: Target) -> Floats:
    columns = target.columns
    return np.asarray(probabilities[:, columns[1] if target.task is Task.BINARY else columns], dtype=np.float64)


def _fit(plan: Plan, features: pd.DataFrame, target: Target) -> Fitted:
    pipeline = plan.build()
    settings = _best_settings(plan, pipeline, features, target)
    pipeline[-1].set_params(**settings)
    repeats = REPEATS if target.task is Task.BINARY else 1
    out_of_fold = np.mean(
        [_out_of_fold(pipeline, features, target, plan.seed + repeat) for repeat in range(repeats)], axis=0
    )
    threshold = choose_threshold(target.codes, out_of_fold) if target.task is Task.BINARY else None
    return Fitted(pipeline.fit(features, target.values), threshold, out_of_fold, settings)


def _out_of_fold(pipeline: Pipeline, features: pd.DataFrame, target: Target, seed: int) -> Floats:
    folds = _folds(target.task, seed)
    if target.task is Task.REGRESSION:
        return np.asarray(cross_val_predict(pipeline, features, target.values, cv=folds), dtype=np.float64)
    return _in_order(cross_val_predict(pipeline, features, target.values, cv=folds, method="predict_proba"), target)


def _best_settings(plan: Plan, pipeline: Pipeline, features: pd.DataFrame, target: Target) -> dict[str, float]:
    choices = plan.recipe.choices
    if not choices:
        return {}
    # Medians and scales need no labels: computing them once for all folds gives nothing away, and halves the time.
    encoded = clone(pipeline[:-1]).fit_transform(features)
    folds = _folds(target.task, plan.seed)
    search = GridSearchCV(pipeline[-1], dict(choices), scoring=_SCORING[target.task], cv=folds, refit=False)
    learnt = target.values if target.task is Task.REGRESSION else target.codes
    return dict(search.fit(encoded, learnt).best_params_)


def _folds(task: Task, seed: int) -> KFold | StratifiedKFold:
    kind = KFold if task is Task.REGRESSION else StratifiedKFold
    return kind(FOLDS, shuffle=True, random_state=seed)
