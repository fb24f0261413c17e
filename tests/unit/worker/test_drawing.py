"""Rows to try a model on, where it takes certain numbers alone and no part of it says which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from model.errors import ModelRefused
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from tests.models import logit_of_share, numbers_of_sexes, only_thousands
from tests.unit.models.test_models_of_others import LABELS, ROWS, Column, registered
from worker.models.loaded_model import load_model
from worker.models.references.rows import draw_reference

AMOUNTS = [f"amount {number}" for number in range(15)]
COLUMNS = [Column(name, "double precision") for name in AMOUNTS]


def of_amounts(function: Any, draw: Callable[[np.random.Generator], Any]) -> Any:
    """The pipeline of every tutorial on skewed amounts."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: draw(random) for name in AMOUNTS})
    return make_pipeline(FunctionTransformer(function), StandardScaler(), LogisticRegression()).fit(frame, LABELS)


def amounts(random: np.random.Generator) -> Any:
    return random.lognormal(8, 1, ROWS)


def shares(random: np.random.Generator) -> Any:
    return random.uniform(0.1, 0.9, ROWS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("function", "draw", "limits"),
    [
        (np.log1p, amounts, "from 1 to 100"),
        (np.log, amounts, "from 1 to 100"),
        (np.sqrt, amounts, "from 1 to 100"),
        (logit_of_share, shares, "from 0.01 to 0.99"),
        (np.arctan, amounts, None),
    ],
)
def test_a_model_that_takes_logarithms_is_tried_on_what_it_takes(function: Any, draw: Any, limits: str | None) -> None:
    """At large nearly no row of fifteen numbers is positive in all of them; what is kept with it is answered, too."""
    made = registered(of_amounts(function, draw), columns=COLUMNS)
    said = [finding for finding in made.metadata.findings if "numbers at large" in finding]
    assert [limits in finding for finding in said] == ([True] if limits else [])
    assert not [finding for finding in made.metadata.findings if "drawn rows were refused" in finding]
    kept = draw_reference(load_model(made, 1)).answers
    assert np.isfinite(kept).all(axis=None)


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_takes_none_of_them_says_what_helps() -> None:
    """And with what is said it is registered."""
    estimator = of_amounts(only_thousands, lambda random: random.uniform(1000, 2000, ROWS))
    with pytest.raises(ModelRefused, match=r'thousands alone\. .*such as: .*"amount 0", "minimum": 0, "maximum": 100'):
        registered(estimator, columns=COLUMNS)
    said = Signature(tuple(FeatureSpec(name, FeatureKind.NUMBER, minimum=1000, maximum=2000) for name in AMOUNTS))
    assert registered(estimator, columns=COLUMNS, signature=said).metadata.signature.names == tuple(AMOUNTS)


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_maps_words_says_what_helps() -> None:
    """Its words are in a function, where nothing reads them."""
    estimator = make_pipeline(FunctionTransformer(numbers_of_sexes), LogisticRegression())
    frame = pd.DataFrame({"sex": ["M", "F"] * (ROWS // 2)})
    columns = [Column("sex", "text")]
    with pytest.raises(ModelRefused, match=r'such as: {"features": \[{"name": "sex", "categories": \["a", "b"\]}\]}'):
        registered(estimator.fit(frame, LABELS), columns=columns)
    said = Signature((FeatureSpec("sex", FeatureKind.CATEGORY, categories=("M", "F")),))
    assert registered(estimator, columns=columns, signature=said).metadata.signature.features[0].categories == (
        "M",
        "F",
    )
