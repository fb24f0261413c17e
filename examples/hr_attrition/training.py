"""How the sample's model is trained: the features, the curves that suit them, and the generic training."""

from __future__ import annotations

import pandas as pd

from examples.hr_attrition.features import FEATURES, TARGET
from model.training.encoding import Curves
from model.training.run import Progress, TrainingResult, Wish, train
from shared.models.signature import FeatureKind, FeatureSpec

LOGGED = (
    "age", "distance_from_home", "monthly_income", "num_companies_worked", "total_working_years",
    "years_at_company", "years_in_current_role", "years_since_last_promotion", "years_with_curr_manager",
)  # fmt: skip

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
CURVES = Curves(LOGGED, STEPS)


def model_features() -> tuple[FeatureSpec, ...]:
    """What the sample's models take: they impute missing numbers, not categories or booleans."""
    numeric = (FeatureKind.INTEGER, FeatureKind.NUMBER)
    return tuple(
        FeatureSpec(
            spec.name,
            spec.kind,
            nullable=spec.kind in numeric,
            categories=spec.categories,
            minimum=spec.minimum,
            maximum=spec.maximum,
        )
        for spec in FEATURES
    )


def wish(*, estimator: str | None = None, seed: int = 0, splits: int = 10) -> Wish:
    """A model of who leaves."""
    return Wish(TARGET, estimator=estimator, features=model_features(), curves=CURVES, seed=seed, splits=splits)


def train_sample(
    frame: pd.DataFrame,
    *,
    estimator: str | None = None,
    seed: int = 0,
    splits: int = 10,
    source: str = "unnamed",
    progress: Progress | None = None,
) -> TrainingResult:
    """Train on labelled clients, as the sample's `read_csv` or `generate` give them. Raises DataRefused."""
    asked = wish(estimator=estimator, seed=seed, splits=splits)
    return train(frame, asked, source=source, progress=progress)
