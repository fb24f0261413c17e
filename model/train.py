"""Training: choose settings, threshold and figures by cross-validation, then fit on everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit, cross_val_predict
from sklearn.pipeline import Pipeline

from model.artefact import Artefact, build_artefact
from model.columns import TARGET
from model.errors import DataRefused
from model.fingerprint import fingerprint
from model.metrics import Floats, Interval, Labels, choose_threshold, interval, score
from model.pipeline import RECIPES, client_signature
from shared.features import CLIENT_FEATURE_NAMES

TEST_SHARE = 0.2
FOLDS = 5
REPEATS = 3  # out-of-fold probabilities are averaged over these, which steadies the threshold
LEAST_PER_CLASS = 10  # below this a fold or a test set may hold no leaver

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingReport:
    """What a training found out, beside the artefact.

    `labels` and `probabilities`, (rows,), are those of the training rows, each scored by models that had not
    seen it. `settings` are the values that cross-validation chose.
    """

    estimator: str
    metrics: dict[str, Interval]
    splits: int
    rows: int
    leavers: int
    threshold: float
    settings: dict[str, float]
    labels: Labels
    probabilities: Floats


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A fitted, servable artefact and the report on it."""

    artefact: Artefact
    report: TrainingReport


def train(
    frame: pd.DataFrame,
    *,
    estimator: str = "logistic_regression",
    seed: int = 0,
    splits: int = 10,
    source: str = "unnamed",
    progress: Progress | None = None,
) -> TrainingResult:
    """Train `estimator` (a name in RECIPES) on labelled clients, as `read_csv` or `generate` give them.

    The figures are means over `splits` stratified splits with 20 % test rows; in each, settings and threshold
    come from the other 80 %. `source` says in the artefact where the data came from. `progress(done, total)`
    is called after each step. Raises DataRefused for data or options that cannot be trained on.
    """
    features, labels = _checked(frame, estimator, splits)
    rows_scored = []
    for done, (fit_rows, test_rows) in enumerate(_outer(splits, seed).split(features, labels), start=1):
        rows_scored.append(_score_split(estimator, seed, features, labels, fit_rows, test_rows))
        if progress is not None:
            progress(done, splits + 1)
    metrics = {name: interval([row[name] for row in rows_scored], TEST_SHARE) for name in rows_scored[0]}
    fitted = _fit(estimator, seed, features, labels)
    if progress is not None:
        progress(splits + 1, splits + 1)
    artefact = build_artefact(
        fitted.pipeline,
        client_signature(),
        fitted.threshold,
        name=estimator,
        metrics={name: asdict(value) for name, value in metrics.items()},
        training_data=fingerprint(frame, source),
    )
    report = TrainingReport(
        estimator=estimator,
        metrics=metrics,
        splits=splits,
        rows=len(labels),
        leavers=int(labels.sum()),
        threshold=fitted.threshold,
        settings=fitted.settings,
        labels=labels,
        probabilities=fitted.out_of_fold,
    )
    return TrainingResult(artefact, report)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    pipeline: Pipeline
    threshold: float
    out_of_fold: Floats
    settings: dict[str, float]


def _checked(frame: pd.DataFrame, estimator: str, splits: int) -> tuple[pd.DataFrame, Labels]:
    if estimator not in RECIPES:
        raise DataRefused(f"There is no estimator {estimator!r}. Choose one of: {', '.join(RECIPES)}")
    if splits < 2:
        raise DataRefused(f"splits must be at least 2, to tell how sure the figures are; got {splits}")
    missing = [name for name in (*CLIENT_FEATURE_NAMES, TARGET) if name not in frame]
    if missing:
        raise DataRefused(f"The training data lacks the columns {', '.join(missing)}")
    labels = frame[TARGET].to_numpy(dtype=np.int64)
    if not np.isin(labels, (0, 1)).all():
        raise DataRefused(f"{TARGET} must be 0 or 1 in every row")
    fewest = int(min(labels.sum(), (1 - labels).sum()))
    if fewest < LEAST_PER_CLASS:
        raise DataRefused(
            f"Training needs at least {LEAST_PER_CLASS} leavers and {LEAST_PER_CLASS} stayers; the data has "
            f"{labels.sum()} leavers in {len(labels)} rows. Give it more rows."
        )
    return frame[list(CLIENT_FEATURE_NAMES)], labels


def _outer(splits: int, seed: int) -> StratifiedShuffleSplit:
    return StratifiedShuffleSplit(splits, test_size=TEST_SHARE, random_state=seed)


def _score_split(
    estimator: str, seed: int, features: pd.DataFrame, labels: Labels, fit_rows: Labels, test_rows: Labels
) -> dict[str, float]:
    fitted = _fit(estimator, seed, features.iloc[fit_rows], labels[fit_rows])
    probabilities = fitted.pipeline.predict_proba(features.iloc[test_rows])[:, 1]
    return score(labels[test_rows], probabilities, fitted.threshold)


def _fit(estimator: str, seed: int, features: pd.DataFrame, labels: Labels) -> _Fitted:
    """Settings, then threshold, then the fit itself, all from these rows alone."""
    recipe = RECIPES[estimator]
    pipeline = recipe.build(seed)
    settings: dict[str, float] = {}
    if recipe.choices:
        search = GridSearchCV(pipeline, dict(recipe.choices), scoring="average_precision", cv=_folds(seed), refit=False)
        settings = dict(search.fit(features, labels).best_params_)
        pipeline.set_params(**settings)
    out_of_fold = np.mean(
        [
            cross_val_predict(pipeline, features, labels, cv=_folds(seed + repeat), method="predict_proba")[:, 1]
            for repeat in range(REPEATS)
        ],
        axis=0,
    )
    return _Fitted(pipeline.fit(features, labels), choose_threshold(labels, out_of_fold), out_of_fold, settings)


def _folds(seed: int) -> StratifiedKFold:
    return StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
