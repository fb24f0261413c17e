"""The estimators that can be trained on any columns, by task and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from model.errors import DataRefused
from model.training.encoding import Curves, Features, for_linear, for_trees, with_curves
from shared.models.signature import Signature
from shared.models.task import Task

LINEAR = frozenset({"logistic_regression", "ridge"})
TREES, LEAST_IN_LEAF, RATE = 200, 5, 0.05


@dataclass(frozen=True, slots=True)
class Recipe:
    """The last step of a pipeline, made from a seed, and its settings to choose from by cross-validation."""

    last_step: Callable[[int], Any]
    choices: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def _logistic(weights: str | None) -> Recipe:
    # newton-cholesky is exact and has no random part; it wins where rows far outnumber columns.
    return Recipe(
        lambda _seed: LogisticRegression(class_weight=weights, solver="newton-cholesky"),
        {"C": (0.003, 0.01, 0.03, 0.1)},
    )


def _boosting(weights: str | None) -> Recipe:
    return Recipe(
        lambda seed: HistGradientBoostingClassifier(learning_rate=RATE, class_weight=weights, random_state=seed)
    )


def _forest(weights: str | None) -> Recipe:
    return Recipe(
        lambda seed: RandomForestClassifier(
            TREES, min_samples_leaf=LEAST_IN_LEAF, class_weight=weights, random_state=seed
        )
    )


# Of two classes the rarer one is what is looked for: weights make it count as much, and the threshold is chosen after.
# Of many classes the probabilities themselves are the answer, so nothing distorts them.
RECIPES: Mapping[Task, Mapping[str, Recipe]] = {
    Task.BINARY: {
        "logistic_regression": _logistic("balanced"),
        "hist_gradient_boosting": _boosting("balanced"),
        "random_forest": _forest("balanced"),
    },
    Task.MULTICLASS: {
        "logistic_regression": replace(_logistic(None), choices={"C": (0.01, 0.1, 1.0)}),
        "hist_gradient_boosting": _boosting(None),
        "random_forest": _forest(None),
    },
    Task.REGRESSION: {
        "ridge": Recipe(lambda _seed: Ridge(), {"alpha": (0.1, 1.0, 10.0, 100.0)}),
        "hist_gradient_boosting": Recipe(
            lambda seed: HistGradientBoostingRegressor(learning_rate=RATE, random_state=seed)
        ),
        "random_forest": Recipe(
            lambda seed: RandomForestRegressor(TREES, min_samples_leaf=LEAST_IN_LEAF, random_state=seed)
        ),
    },
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fitted: a recipe by task and name on these features."""

    task: Task
    estimator: str
    features: Features
    curves: Curves
    seed: int

    @property
    def recipe(self) -> Recipe:
        """The recipe of that name."""
        return RECIPES[self.task][self.estimator]

    def build(self) -> Pipeline:
        """An untrained pipeline."""
        last = ("predict", self.recipe.last_step(self.seed))
        if self.estimator not in LINEAR:
            return Pipeline([("encode", for_trees(self.features)), last])
        curves = with_curves(self.features, self.curves)
        return Pipeline([("encode", for_linear(self.features)), ("curves", curves), ("scale", StandardScaler()), last])

    def signature(self) -> Signature:
        """What the fitted pipeline takes: of what it logs no negative number, which has no log."""
        if self.estimator not in LINEAR:
            return Signature(tuple(self.features))
        logged = set(self.curves.logged)
        return Signature(
            tuple(
                replace(spec, minimum=0) if spec.name in logged and spec.minimum is None else spec
                for spec in self.features
            )
        )


def choose_estimator(task: Task, name: str | None) -> str:
    """`name`, or the first recipe of the task. Raises DataRefused for a name that the task does not have."""
    names = list(RECIPES[task])
    if name is None:
        return names[0]
    if name not in names:
        raise DataRefused(f"There is no estimator {name!r} for the task {task}. Choose one of: {', '.join(names)}")
    return name
