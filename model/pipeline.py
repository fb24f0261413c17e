"""The estimators that can be trained on clients, each from scikit-learn parts alone.

No function of ours is inside: an artefact unpickles with scikit-learn and numpy only, years from now too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.sample_features import CLIENT_FEATURES


def _of_kind(*kinds: FeatureKind) -> list[FeatureSpec]:
    return [spec for spec in CLIENT_FEATURES if spec.kind in kinds]


NUMBERS = [spec.name for spec in _of_kind(FeatureKind.INTEGER, FeatureKind.NUMBER)]
CATEGORIES = {spec.name: list(spec.categories) for spec in _of_kind(FeatureKind.CATEGORY)}
BOOLEANS = [spec.name for spec in _of_kind(FeatureKind.BOOLEAN)]

# Amounts and durations: the effect of one more fades, and a difference of logs is a ratio (pay for the
# years worked, years in the role of those at the company), so ratios need no features of their own.
LOGGED = [
    "age", "distance_from_home", "monthly_income", "num_companies_worked", "total_working_years",
    "years_at_company", "years_in_current_role", "years_since_last_promotion", "years_with_curr_manager",
]  # fmt: skip

# Ordered grades: an indicator "at least this grade" for each step lets every step weigh differently,
# and a grade above all that were seen counts as the highest.
STEPS = {
    "environment_satisfaction": (2, 3, 4),
    "job_involvement": (2, 3, 4),
    "job_level": (2, 3, 4, 5),
    "job_satisfaction": (2, 3, 4),
    "relationship_satisfaction": (2, 3, 4),
    "stock_option_level": (1, 2, 3),
    "training_times_last_year": (1, 2, 3, 4, 5, 6),
    "work_life_balance": (2, 3, 4),
}


def client_signature() -> Signature:
    """The signature of every estimator below: they impute missing numbers, not categories or booleans."""
    numeric = (FeatureKind.INTEGER, FeatureKind.NUMBER)
    return Signature(tuple(replace(spec, nullable=spec.kind in numeric, dtype="") for spec in CLIENT_FEATURES))


def _encoded(encoder: Any, imputer: Any) -> ColumnTransformer:
    """Clients as numbers: the imputed numbers first, in the order of NUMBERS, then categories and booleans."""
    return ColumnTransformer(
        [("numbers", imputer, NUMBERS), ("categories", encoder, list(CATEGORIES)), ("flags", "passthrough", BOOLEANS)],
        sparse_threshold=0,
    )


def _with_curves() -> ColumnTransformer:
    """Adds logs and grade steps to the encoded columns: two numpy calls, whatever the number of rows."""
    width = len(NUMBERS) + sum(map(len, CATEGORIES.values())) + len(BOOLEANS)
    place = {name: index for index, name in enumerate(NUMBERS)}
    steps = [(place[name], float(grade)) for name, grades in STEPS.items() for grade in grades]
    at_least = partial(np.less_equal, np.array([grade for _, grade in steps]))
    return ColumnTransformer(
        [
            ("as_is", "passthrough", slice(0, width)),
            ("logs", FunctionTransformer(np.log1p), [place[name] for name in LOGGED]),
            ("steps", FunctionTransformer(at_least), [index for index, _ in steps]),
        ]
    )


def _logistic_regression(_seed: int) -> Pipeline:
    one_hot = OneHotEncoder(categories=list(CATEGORIES.values()), sparse_output=False)
    # newton-cholesky is exact and has no random part; it wins where rows far outnumber columns.
    classifier = LogisticRegression(class_weight="balanced", solver="newton-cholesky")
    return Pipeline(
        [
            ("encode", _encoded(one_hot, SimpleImputer(strategy="median"))),
            ("curves", _with_curves()),
            ("scale", StandardScaler()),
            ("classify", classifier),
        ]
    )


def _trees(classifier: Any) -> Pipeline:
    """Trees split on missing numbers and on category codes as they are."""
    codes = OrdinalEncoder(categories=list(CATEGORIES.values()))
    return Pipeline([("encode", _encoded(codes, "passthrough")), ("classify", classifier)])


def _hist_gradient_boosting(seed: int) -> Pipeline:
    return _trees(HistGradientBoostingClassifier(learning_rate=0.05, class_weight="balanced", random_state=seed))


def _random_forest(seed: int) -> Pipeline:
    return _trees(RandomForestClassifier(200, min_samples_leaf=5, class_weight="balanced", random_state=seed))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build an untrained estimator from a seed, and the settings of its last step to choose from."""

    build: Callable[[int], Pipeline]
    choices: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = {
    "logistic_regression": Recipe(_logistic_regression, {"C": (0.003, 0.01, 0.03, 0.1)}),
    "hist_gradient_boosting": Recipe(_hist_gradient_boosting),
    "random_forest": Recipe(_random_forest),
}
