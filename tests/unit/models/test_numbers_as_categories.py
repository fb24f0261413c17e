"""Models that take numbers as categories: a year, a level from 1 to 5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from model.answering import Prediction
from model.errors import ModelRefused
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.status import RowError
from tests.unit.models.test_models_of_others import (
    COLUMNS,
    FRAME,
    LABELS,
    LR,
    NUMBERS,
    Column,
    people,
    registered,
    table_of,
)
from worker.errands.real_rows import _seen
from worker.models.check import check_model
from worker.models.loaded_model import load_model
from worker.scoring.answers import StatedError
from worker.scoring.feature_reader import Rows
from worker.scoring.isolation import IsolatedModel
from worker.scoring.prediction import predict_rows

LEVELS = [f"level {place}" for place in range(5)]
LEVELLED = [*COLUMNS, *(Column(name, "integer") for name in LEVELS)]


@pytest.mark.parametrize("known", [[2001, 2002, 2003], [2001.5, 2002.5, 2003.5], [True]], ids=str)
@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), "boosting"], ids=["one hot", "boosting"])
def test_numbers_that_an_encoder_does_not_know_are_counted(encoder: Any, known: list[Any]) -> None:
    """A number is a category where the model takes it as one; a gap is none, and what it knows is none."""
    frame = FRAME[NUMBERS].assign(year=[known[row % len(known)] for row in range(len(FRAME))])
    boosting = HistGradientBoostingClassifier(max_iter=10)
    if encoder == "boosting":
        frame["year"] = frame.year.astype(float)
        estimator: Any = boosting.set_params(categorical_features=["year"])
    else:
        estimator = make_pipeline(ColumnTransformer([("year", encoder, ["year"])], remainder="passthrough"), boosting)
    model = load_model(registered(estimator.fit(frame, LABELS)), 1)
    rows = people(3)[NUMBERS].assign(year=known[0])
    strange = not known[0] if known == [True] else 1990
    rows["year"] = rows.year.astype(object)
    rows.loc[:4, "year"] = strange
    rows["year"] = rows.year.astype(bool if model.signature.features[-1].kind is FeatureKind.BOOLEAN else float)
    report = check_model(model, table_of(model.signature, rows))
    assert (report.unknown_categories, report.is_equal) == ({"year": 5}, True)
    assert model.known_words == {len(NUMBERS): frozenset(known)}


def levelled(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """With five levels from 1 to 5, as forms ask for them."""
    random = np.random.default_rng(seed)
    return rows[["age"]].assign(**{name: random.integers(1, 6, len(rows)) for name in LEVELS})


@pytest.mark.parametrize("encoder", [OneHotEncoder(sparse_output=False), OrdinalEncoder()], ids=["one hot", "ordinal"])
@pytest.mark.parametrize("last", [LR(), HistGradientBoostingClassifier(max_iter=10)], ids=["linear", "boosting"])
def test_a_number_that_an_encoder_refuses_names_its_feature(encoder: Any, last: Any) -> None:
    """The model is registered, tried on levels that there are; the row of another level says which feature it is."""
    estimator = make_pipeline(ColumnTransformer([("levels", encoder, LEVELS)], remainder="passthrough"), last)
    made = registered(estimator.fit(levelled(FRAME), LABELS), columns=LEVELLED)
    assert not [finding for finding in made.metadata.findings if "refused" in finding]
    assert {spec.name for spec in made.metadata.signature.features if spec.nullable} == set()
    model = load_model(made, 1)
    rows = levelled(people(3), 3)
    rows.loc[7, ["level 1", "level 3"]] = 9
    report = check_model(model, table_of(model.signature, rows))
    assert (report.errors, report.is_equal) == ({"invalid_feature": 1}, True)
    assert report.first_errors == {"invalid_feature": "the model's encoder does not know the value of level 1, level 3"}


@pytest.mark.parametrize("handling", ["ignore", "error"])
def test_a_process_apart_tells_of_the_same_values(handling: str) -> None:
    """What is noted of a row, and whom it blames, does not hang on the attempt at which it was scored."""
    encoders = ColumnTransformer([("levels", OneHotEncoder(handle_unknown=handling), LEVELS)], remainder="passthrough")
    made = registered(make_pipeline(encoders, LR()).fit(levelled(FRAME), LABELS), columns=LEVELLED)
    model = load_model(made, 1)
    rows = levelled(people(3), 3).head(40)
    rows.loc[[3, 30], "level 1"] = 9
    table = table_of(model.signature, rows)
    every = Rows(np.arange(40, dtype=np.int64), np.ones(40, dtype=np.bool_), table)
    here = predict_rows(every, model.signature, model.predict, strange=model.refused_values)
    with IsolatedModel(made, rows=40, call_timeout_seconds=60) as apart:
        there = predict_rows(every, model.signature, apart.predict)
        assert apart.known_words == model.known_words
    assert model.known_words
    assert (there.errors, sorted(there.errors)) == (here.errors, [3, 30] if handling == "error" else [])
    np.testing.assert_allclose(there.values, here.values, rtol=1e-9)


def test_many_refused_rows_cost_one_more_call() -> None:
    """Found by halving, 300 of 1,000 would take hundreds. Nothing is said of what another encoder passes over."""
    encoders = ColumnTransformer(
        [("levels", OneHotEncoder(), LEVELS), ("age", OneHotEncoder(handle_unknown="ignore"), ["age"])]
    )
    estimator = make_pipeline(encoders, LR()).fit(levelled(FRAME), LABELS)
    model = load_model(registered(estimator, columns=LEVELLED), 1)
    rows = pd.concat([levelled(people(seed), seed) for seed in range(7)], ignore_index=True)[:1000]
    rows.loc[::3, "level 2"] = 0
    rows.loc[1, "age"] = 199
    table, calls = table_of(model.signature, rows), 0

    def predict(part: pa.Table) -> Prediction:
        nonlocal calls
        calls += 1
        return model.predict(part)

    every = Rows(np.arange(1000, dtype=np.int64), np.ones(1000, dtype=np.bool_), table)
    answers = predict_rows(every, model.signature, predict, strange=model.refused_values)
    assert (list(answers.errors), calls) == (list(range(0, 1000, 3)), 2)
    assert {error.detail for error in answers.errors.values()} == {
        "the model's encoder does not know the value of level 2"
    }
    good = np.setdiff1d(np.arange(1000), np.arange(0, 1000, 3))
    np.testing.assert_array_equal(answers.values[good], model.predict(table.take(pa.array(good))).values)


def test_a_fault_of_the_model_is_no_fault_of_a_value() -> None:
    """An unknown number that the model passes over does not explain what else it raises."""

    def predict(_: pa.Table) -> Prediction:
        raise ValueError("something else")

    rows = Rows(np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.bool_), pa.table({"year": [1990.0]}))
    signature = Signature((FeatureSpec("year", FeatureKind.NUMBER),))
    answers = predict_rows(rows, signature, predict, strange=lambda _: {0: ["year"]})
    assert answers.errors == {0: StatedError(RowError.MODEL_FAILED, "the model raised ValueError")}


def coded(count: int, seed: int) -> pd.DataFrame:
    """A code that predicts much, whole numbers without a gap, in a column that might have one."""
    random = np.random.default_rng(seed)
    return pd.DataFrame({"code": random.integers(1, 6, count), "age": random.integers(20, 60, count)})


CODED = coded(300, 0)
CODED_LABELS = np.where(CODED.code % 2, "yes", "no")
CODES = [Column("code", "integer"), Column("age", "integer")]
AS_WORDS = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "str"})
WORDY = ColumnTransformer(
    [("code", make_pipeline(AS_WORDS, OneHotEncoder(handle_unknown="ignore")), ["code"])], remainder="passthrough"
)


def test_words_of_whole_numbers_are_made_as_in_training() -> None:
    """`1` and `1.0` are two words: a model fitted on the one, and given the other, answers all rows alike, and well."""
    made = registered(make_pipeline(WORDY, LR()).fit(CODED, CODED_LABELS), columns=CODES)
    rows = coded(50, 1)
    report = check_model(load_model(made, 1), table_of(made.metadata.signature, rows))
    (way,) = set(report.differences) - {"the estimator's predict"}
    assert way == "the estimator on whole numbers"
    assert (
        '--signature FILE with {"features": [{"name": "code", "nullable": false}]} mends it' in report.differences[way]
    )
    with pytest.raises(ModelRefused, match="the model takes no notice of them at all"):
        _seen(report.to_json(), "people")
    said = Signature(
        tuple(
            replace(spec, nullable=False, dtype="") if spec.name == "code" else spec
            for spec in made.metadata.signature.features
        )
    )
    mended = replace(made, metadata=replace(made.metadata, signature=said))
    model = load_model(mended, 1)
    table = table_of(said, rows)
    assert check_model(model, table).is_equal
    np.testing.assert_allclose(model.predict(table).values, model.estimator.predict_proba(rows)[:, 1])


def test_words_of_doubles_are_right_where_the_training_had_gaps() -> None:
    """Such a model knows 1.0, and nobody is told to give it anything else."""
    gaps = CODED.assign(code=CODED.code.astype(float))
    made = registered(make_pipeline(WORDY, LR()).fit(gaps, CODED_LABELS), columns=CODES)
    report = check_model(load_model(made, 1), table_of(made.metadata.signature, coded(50, 1)))
    assert (report.differences, "mends it" in report.first_errors["whole_numbers"]) == ({}, False)
    plain = registered(make_pipeline(StandardScaler(), LR()).fit(CODED, CODED_LABELS), columns=CODES)
    report = check_model(load_model(plain, 1), table_of(plain.metadata.signature, coded(50, 1)))
    assert (report.differences, report.first_errors) == ({}, {})


class OnlyWhole(LogisticRegression):
    """Takes whole numbers as categories and no doubles in their place, as CatBoost does."""

    def predict_proba(self, frame: Any) -> Any:
        """Raises ValueError for a column of doubles."""
        if frame["code"].dtype.kind == "f":
            raise ValueError(f"bad object for id: {frame['code'].iloc[0]}")
        return super().predict_proba(frame)


def test_categories_that_must_be_whole_numbers_may_not_be_missing() -> None:
    """The model is registered; what it takes as a double may have gaps as ever."""
    made = registered(OnlyWhole().fit(CODED, CODED_LABELS), columns=CODES)
    assert {spec.name: spec.dtype for spec in made.metadata.signature.features} == {"code": "int64", "age": "int64"}
    assert check_model(load_model(made, 1), table_of(made.metadata.signature, coded(50, 1))).is_equal
