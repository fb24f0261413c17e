"""Training: choose settings, threshold and figures by cross-validation, then fit on everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedShuffleSplit

from model.artefact import Artefact, build_artefact
from model.columns import TARGET
from model.errors import DataRefused
from model.fingerprint import fingerprint
from model.fitting import Fitted, fit
from model.metrics import Interval, Labels, interval, score
from model.pipeline import RECIPES, client_signature
from shared.sources.sample_features import CLIENT_FEATURE_NAMES

TEST_SHARE = 0.2
LEAST_PER_CLASS = 10  # below this a fold or a test set may hold no leaver

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingReport:
    """What a training found out, beside the artefact: the figures by name, and the fit on all rows.

    `labels`, (rows,), are 1 for leavers.
    """

    estimator: str
    metrics: dict[str, Interval]
    splits: int
    labels: Labels
    fitted: Fitted


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
    come from the other 80 %. Few splits give wide intervals: two say next to nothing. `source` says in the
    artefact where the data came from. `progress(done, total)` is called after each step. Raises DataRefused for
    data or options that cannot be trained on.
    """
    features, labels = _checked(frame, estimator, splits)
    scores = []
    for fit_rows, test_rows in _splitter(splits, seed).split(features, labels):
        part = fit(estimator, seed, features.iloc[fit_rows], labels[fit_rows])
        probabilities = part.pipeline.predict_proba(features.iloc[test_rows])[:, 1]
        scores.append(score(labels[test_rows], probabilities, part.threshold))
        if progress is not None:
            progress(len(scores), splits + 1)
    metrics = {name: interval([row[name] for row in scores], TEST_SHARE) for name in scores[0]}
    whole = fit(estimator, seed, features, labels)
    if progress is not None:
        progress(splits + 1, splits + 1)
    artefact = build_artefact(
        whole.pipeline,
        client_signature(),
        whole.threshold,
        name=estimator,
        metrics={name: asdict(value) for name, value in metrics.items()},
        training_data=fingerprint(frame, source),
    )
    return TrainingResult(artefact, TrainingReport(estimator, metrics, splits, labels, whole))


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


def _splitter(splits: int, seed: int) -> StratifiedShuffleSplit:
    return StratifiedShuffleSplit(splits, test_size=TEST_SHARE, random_state=seed)
