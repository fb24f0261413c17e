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

from examples.hr_attrition.dataset import generate
from examples.hr_attrition.features import FEATURE_NAMES
from examples.hr_attrition.training import CURVES, model_features
from model.errors import DataRefused
from model.training.columns import choose_columns, training_frame
from model.training.encoding import find_curves
from model.training.recipes import RECIPES, Plan, choose_estimator
from shared.models.signature import FeatureKind
from shared.models.task import Task

SAMPLE = next(generate(600, seed=2))
FEATURES, LABELS = SAMPLE[list(FEATURE_NAMES)], SAMPLE["attrition"]
NUMBERS = [spec.name for spec in model_features() if spec.nullable]
BINARY = list(RECIPES[Task.BINARY])
EVERY = [(task, name) for task, recipes in RECIPES.items() for name in recipes]


def sample_plan(name: str) -> Plan:
    return Plan(Task.BINARY, name, model_features(), CURVES, 0)


def mixed_rows(rows: int = 300) -> pd.DataFrame:
    """Every kind of column that there is, each with gaps."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "größe in cm": random.normal(170, 10, rows).round(1),
            "select": random.integers(1, 6, rows),
            "région": random.choice(["Rhône", "Île-de-France", "Bas-Rhin"], rows),
            "make": [f"maker {number}" for number in random.integers(0, 80, rows)],
            "flag": random.random(rows) < 0.3,
        }
    ).astype(object)
    frame["none"] = np.nan
    for place, name in enumerate(frame.columns[:5]):
        frame.loc[frame.index[place::17], name] = None
    numbers = {"größe in cm": float, "select": float}
    return frame.astype(numbers)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Trees in many threads crawl on a machine that runs other tests too."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("name", BINARY)
def test_every_recipe_serves_what_its_signature_promises(name: str) -> None:
    """Missing numbers are imputed, and text may come as `str` or as `object`: the answer is the same."""
    plan = sample_plan(name)
    fitted = plan.build().fit(FEATURES, LABELS)
    whole = fitted.predict_proba(FEATURES)
    assert whole.shape == (len(FEATURES), 2)
    text = [spec.name for spec in plan.signature().features if spec.kind is FeatureKind.CATEGORY]
    np.testing.assert_array_equal(fitted.predict_proba(FEATURES.astype(dict.fromkeys(text, object))), whole)
    holes = FEATURES.astype(dict.fromkeys(NUMBERS, float))
    holes.loc[:, NUMBERS] = np.nan
    assert np.isfinite(fitted.predict_proba(holes)).all()
    alone = np.vstack([fitted.predict_proba(FEATURES.iloc[[row]]) for row in range(5)])
    np.testing.assert_allclose(alone, whole[:5], rtol=1e-12)
    with pytest.raises(ValueError, match="unknown categories"):
        fitted.predict_proba(FEATURES.head(1).assign(gender="Robot"))


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_every_recipe_takes_every_kind_of_column_with_gaps(task: Task, name: str) -> None:
    """Numbers, words, many words, booleans, each missing here and there: fitted and answered, gaps or none."""
    rows = mixed_rows()
    columns = choose_columns(rows.assign(y=0), "y")
    assert columns.left_out == {"none": "empty in every row"}
    frame = training_frame(rows, columns.features)
    plan = Plan(task, name, columns.features, find_curves(frame, columns.features), 0)
    plain = rows["größe in cm"].fillna(170)
    labels = (
        plain
        if task is Task.REGRESSION
        else pd.cut(plain, [0, 168, 400] if task is Task.BINARY else [0, 165, 172, 400]).cat.codes
    )
    pipeline = plan.build()
    if name == "random_forest":
        pipeline[-1].set_params(n_estimators=5)
    fitted = pipeline.fit(frame, labels)
    ask = fitted.predict if task is Task.REGRESSION else fitted.predict_proba
    whole = ask(frame)
    assert np.isfinite(whole).all()
    odd = frame.head(1).assign(make="a maker that nobody saw")
    assert np.isfinite(ask(odd)).all()
    alone = np.concatenate([ask(frame.iloc[[row]]) for row in range(20)])
    np.testing.assert_allclose(alone, whole[:20], rtol=1e-9)


def test_only_numbers_of_the_sample_may_be_missing() -> None:
    """The signature marks as nullable exactly what the pipelines impute."""
    numeric = (FeatureKind.INTEGER, FeatureKind.NUMBER)
    assert [spec.name for spec in model_features() if spec.kind in numeric] == NUMBERS
    assert sample_plan("logistic_regression").signature().names == FEATURE_NAMES


def test_a_grade_above_all_counts_as_the_highest_step() -> None:
    """Job level 9 passes the same steps as level 5: no indicator falls back to zero."""
    encode_and_curve = sample_plan("logistic_regression").build().fit(FEATURES, LABELS)[:2]
    five, nine = (encode_and_curve.transform(FEATURES.head(1).assign(job_level=level)) for level in (5, 9))
    assert (five != nine).sum() == 1  # the number itself


def test_curves_are_found_by_values_alone() -> None:
    """Grades become steps, amounts are logged, what may be negative is left as it is."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"grade": random.integers(1, 5, 200), "amount": random.exponential(9, 200), "balance": random.normal(0, 9, 200)}
    )
    found = find_curves(frame, choose_columns(frame.assign(y=1), "y").features)
    assert (found.logged, dict(found.steps)) == (("amount",), {"grade": (2.0, 3.0, 4.0)})


def test_what_is_logged_may_not_be_negative() -> None:
    """The signature says it, so that such a row is a stated error and not the model's."""
    frame = pd.DataFrame({"amount": np.random.default_rng(1).exponential(9, 200)})
    features = choose_columns(frame.assign(y=1), "y").features
    curves = find_curves(frame, features)
    assert Plan(Task.BINARY, "logistic_regression", features, curves, 0).signature().features[0].minimum == 0
    assert Plan(Task.BINARY, "random_forest", features, curves, 0).signature().features[0].minimum is None


def test_an_estimator_is_one_of_its_task() -> None:
    """The first is the default, and the others are named."""
    assert [choose_estimator(task, None) for task in Task] == ["logistic_regression", "logistic_regression", "ridge"]
    with pytest.raises(DataRefused, match=r"for the task regression\. Choose one of: ridge, hist_gradient_boosting"):
        choose_estimator(Task.REGRESSION, "logistic_regression")


def test_an_artefact_needs_none_of_our_modules(tmp_path: Path) -> None:
    """Pickled pipelines are read and used by a Python that knows scikit-learn but not this repository."""
    rows = mixed_rows()
    columns = choose_columns(rows.assign(y=0), "y")
    frame = training_frame(rows, columns.features)
    for name in BINARY:
        plan = Plan(Task.BINARY, name, columns.features, find_curves(frame, columns.features), 0)
        joblib.dump(plan.build().fit(frame, rows["größe in cm"] > 170), tmp_path / f"{name}.joblib")
    pd.to_pickle(frame.head(3), tmp_path / "rows.pkl")
    code = (
        "import sys, joblib, pandas\n"
        "for name in sys.argv[1:]:\n"
        "    p = joblib.load(name + '.joblib').predict_proba(pandas.read_pickle('rows.pkl'))\n"
        "    assert p.shape == (3, 2)\n"
        "assert not {'model', 'shared', 'examples'} & {name.partition('.')[0] for name in sys.modules}\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *BINARY],
        cwd=tmp_path,
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
