from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from model.dataset import generate
from model.pipeline import NUMBERS, RECIPES, client_signature
from shared.models.signature import FeatureKind
from shared.sources.sample_features import CLIENT_FEATURE_NAMES

SAMPLE = next(generate(600, seed=2))
FEATURES, LABELS = SAMPLE[list(CLIENT_FEATURE_NAMES)], SAMPLE["attrition"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Trees in many threads crawl on a machine that runs other tests too."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_serves_what_its_signature_promises(name: str) -> None:
    """Missing numbers are imputed, and text may come as `str` or as `object`: the answer is the same."""
    fitted = RECIPES[name].build(0).fit(FEATURES, LABELS)
    whole = fitted.predict_proba(FEATURES)
    assert whole.shape == (len(FEATURES), 2)
    text = [spec.name for spec in client_signature().features if spec.kind is FeatureKind.CATEGORY]
    np.testing.assert_array_equal(fitted.predict_proba(FEATURES.astype(dict.fromkeys(text, object))), whole)
    holes = FEATURES.astype(dict.fromkeys(NUMBERS, float))
    holes.loc[:, NUMBERS] = np.nan
    assert np.isfinite(fitted.predict_proba(holes)).all()


@pytest.mark.parametrize("name", RECIPES)
def test_a_row_is_scored_the_same_alone_and_in_a_batch(name: str) -> None:
    """Batching changes nothing but speed."""
    fitted = RECIPES[name].build(0).fit(FEATURES, LABELS)
    alone = np.vstack([fitted.predict_proba(FEATURES.iloc[[row]]) for row in range(5)])
    np.testing.assert_allclose(alone, fitted.predict_proba(FEATURES)[:5], rtol=1e-12)


def test_only_numbers_may_be_missing() -> None:
    """The signature marks as nullable exactly what the pipelines impute."""
    nullable = [spec.name for spec in client_signature().features if spec.nullable]
    assert nullable == NUMBERS
    assert client_signature().names == CLIENT_FEATURE_NAMES


@pytest.mark.parametrize("name", RECIPES)
def test_an_unknown_category_is_refused(name: str) -> None:
    """A word that the model was not trained on is an error, never a silent guess."""
    fitted = RECIPES[name].build(0).fit(FEATURES, LABELS)
    with pytest.raises(ValueError, match="unknown categories"):
        fitted.predict_proba(FEATURES.head(1).assign(gender="Robot"))


def test_a_grade_above_all_counts_as_the_highest_step() -> None:
    """Job level 9 passes the same steps as level 5: no indicator falls back to zero."""
    encode_and_curve = RECIPES["logistic_regression"].build(0).fit(FEATURES, LABELS)[:2]
    five, nine = (encode_and_curve.transform(FEATURES.head(1).assign(job_level=level)) for level in (5, 9))
    assert (five != nine).sum() == 1  # the number itself


def test_an_artefact_needs_none_of_our_modules(tmp_path: Path) -> None:
    """Pickled pipelines are read and used by a Python that knows scikit-learn but not this repository."""
    for name, recipe in RECIPES.items():
        joblib.dump(recipe.build(0).fit(FEATURES, LABELS), tmp_path / f"{name}.joblib")
    pd.to_pickle(FEATURES.head(3), tmp_path / "rows.pkl")
    code = (
        "import sys, joblib, pandas\n"
        "for name in sys.argv[1:]:\n"
        "    p = joblib.load(name + '.joblib').predict_proba(pandas.read_pickle('rows.pkl'))\n"
        "    assert p.shape == (3, 2)\n"
        "assert not {'model', 'shared'} & {name.partition('.')[0] for name in sys.modules}\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *RECIPES],
        cwd=tmp_path,
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
