"""Training: choose settings, threshold and figures by cross-validation, then fit on everything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from types import MappingProxyType

import pandas as pd
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from model.artefact import Artefact, build_artefact
from model.errors import DataRefused
from model.fingerprint import TrainingData, fingerprint
from model.training.columns import Columns, choose_columns, training_frame
from model.training.curves import curves_of
from model.training.encoding import Curves, find_curves
from model.training.fitting import Fitted, fit
from model.training.metrics import Interval, interval
from model.training.recipes import Plan, choose_estimator
from model.training.target import Target, read_target
from shared.models.signature import FeatureSpec, Signature
from shared.models.task import Task

TEST_SHARE = 0.2
SHOWN_COLUMNS = 40

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be trained, beside the rows.

    `task`, `positive` and `estimator` None: told by the target, where it is plain. `features` None: all columns but the
    target and those in `drop`; `curves` None: as the values suggest. Few splits give wide intervals: two say next to
    nothing.
    """

    target: str
    task: Task | None = None
    positive: str | None = None
    estimator: str | None = None
    drop: Collection[str] = ()
    features: tuple[FeatureSpec, ...] | None = None
    curves: Curves | None = None
    seed: int = 0
    splits: int = 10


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A fitted pipeline and all that was found out: the figures by name, and the answers for rows not seen.

    `unlabelled` counts the rows whose target was missing: nothing was learnt from them. `unfit` counts, by column, the
    rows that were left out before because of a value that no feature can have.
    """

    estimator: str
    target: Target
    signature: Signature
    fitted: Fitted
    metrics: dict[str, Interval]
    splits: int
    data: TrainingData
    left_out: Mapping[str, str] = field(default_factory=dict)
    unlabelled: int = 0
    unfit: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def artefact(self) -> Artefact:
        """What the registry takes."""
        return build_artefact(
            self.fitted.pipeline,
            self.signature,
            self.fitted.threshold,
            name=self.estimator,
            metrics={name: asdict(value) for name, value in self.metrics.items()},
            curves=curves_of(
                self.target.task,
                self.target.codes if self.target.task is not Task.REGRESSION else None,
                self.target.values if self.target.task is Task.REGRESSION else None,
                self.fitted.out_of_fold,
                self.fitted.threshold,
            ),
            training_data=self.data,
            positive_class=self.target.classes[1] if self.target.task is Task.BINARY else None,
        )


def train(
    rows: pd.DataFrame,
    wish: Wish,
    *,
    source: str = "unnamed",
    columns: Columns | None = None,
    unfit: Mapping[str, int] = MappingProxyType({}),
    progress: Progress | None = None,
) -> TrainingResult:
    """Train on labelled rows.

    The figures are means over `wish.splits` splits (stratified by class where there are classes) with 20 % test rows;
    in each, settings and threshold come from the other 80 %. `source` says where the rows came from. `columns` are the
    features where they are known; None: as `wish` says. `unfit`: see TrainingResult. `progress(done, total)` is called
    after each step. Raises DataRefused for data or options that cannot be trained on.
    """
    if wish.splits < 2:
        raise DataRefused(f"splits must be at least 2, to tell how sure the figures are; got {wish.splits}")
    columns = columns or _columns(rows, wish)
    target = target_of(rows, wish)
    labelled = rows[rows[wish.target].notna()]
    frame = training_frame(labelled, columns.features)
    plan = _plan(wish, target, columns, frame)
    scores = []
    for fit_rows, test_rows in _splitter(target.task, wish).split(frame, target.values):
        part = fit(plan, frame.iloc[fit_rows], target.take(fit_rows))
        scores.append(part.figures(frame.iloc[test_rows], target.take(test_rows)))
        if progress is not None:
            progress(len(scores), wish.splits + 1)
    fitted = fit(plan, frame, target)
    if progress is not None:
        progress(wish.splits + 1, wish.splits + 1)
    return TrainingResult(
        estimator=plan.estimator,
        target=target,
        signature=plan.signature(),
        fitted=fitted,
        metrics={name: interval([row[name] for row in scores], TEST_SHARE, name) for name in scores[0]},
        splits=wish.splits,
        data=fingerprint(rows, source),
        left_out=columns.left_out,
        unlabelled=len(rows) - len(labelled),
        unfit=unfit,
    )


def target_of(rows: pd.DataFrame, wish: Wish) -> Target:
    """What is learnt from the rows that have a target. Raises DataRefused where that is nothing, or not clear."""
    if wish.target not in rows:
        raise DataRefused(
            f"The data has no column {wish.target!r}. It has: {', '.join(map(str, rows.columns[:SHOWN_COLUMNS]))}"
        )
    return read_target(rows[wish.target].dropna(), task=wish.task, positive=wish.positive)


def _columns(rows: pd.DataFrame, wish: Wish) -> Columns:
    if wish.features is None:
        return choose_columns(rows, wish.target, drop=wish.drop)
    missing = [name for name in (*(spec.name for spec in wish.features), wish.target) if name not in rows]
    if missing:
        raise DataRefused(f"The training data lacks the columns {', '.join(missing)}")
    return Columns(wish.features)


def _plan(wish: Wish, target: Target, columns: Columns, frame: pd.DataFrame) -> Plan:
    estimator = choose_estimator(target.task, wish.estimator)
    curves = find_curves(frame, columns.features) if wish.curves is None else wish.curves
    return Plan(target.task, estimator, columns.features, curves, wish.seed)


def _splitter(task: Task, wish: Wish) -> ShuffleSplit | StratifiedShuffleSplit:
    kind = ShuffleSplit if task is Task.REGRESSION else StratifiedShuffleSplit
    return kind(wish.splits, test_size=TEST_SHARE, random_state=wish.seed)
