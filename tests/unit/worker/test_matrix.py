"""The last step of a pipeline without frames: its own answers to the very numbers, or else the whole estimator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from model.artefact import build_artefact
from shared.models.task import Task
from tests.unit.worker.pipeline_support import assert_same, loaded, rows_of, signature_of, training
from worker.models import loaded_model
from worker.models.frame import input_columns
from worker.models.loaded_model import load_model
from worker.models.matrix import MatrixModel, NoMatrix, compile_matrix

_FRAME: Any = pd.DataFrame


class CodesOfMine(OrdinalEncoder):  # type: ignore[misc]
    """An encoder that numbers from 100 on."""

    def transform(self, X: Any) -> Any:  # noqa: N803
        """See OrdinalEncoder."""
        return super().transform(X) + 100


def codes(**options: Any) -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", **{"unknown_value": -1, **options})


def boosted() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=5)


def columns(words: Any, **options: Any) -> ColumnTransformer:
    parts = [("n", "passthrough", ["age", "pay", "kids", "over"]), ("w", words, ["dept", "city"])]
    return ColumnTransformer(parts, **options)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Numbers as they are or through another step, words numbered in any way, in any order, under trees of any kind."""
    gaps = draw(st.sampled_from([{}, {"encoded_missing_value": -2}]))
    closed = OrdinalEncoder(**gaps)
    unknown = draw(st.sampled_from([-1, np.nan]))
    rare = draw(st.sampled_from([{}, {"max_categories": 3}, {"min_frequency": 60}]))
    words = draw(st.sampled_from([closed, codes(unknown_value=unknown, **gaps, **rare)]))
    numbers = draw(st.sampled_from(["passthrough", SimpleImputer(add_indicator=True), FunctionTransformer(np.sign)]))
    parts = [("n", numbers, ["pay", "age"]), ("w", words, ["city", "dept"]), ("f", "passthrough", ["over"])]
    remainder = draw(st.sampled_from(["drop", "passthrough"]))
    encoder = ColumnTransformer(draw(st.permutations(parts)), remainder=remainder, sparse_threshold=0)
    return make_pipeline(encoder, draw(st.sampled_from([boosted(), DecisionTreeClassifier(max_depth=6)])))


# Not shrunk: a pipeline is small as it is, and each try costs a fit.
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.data())
def test_the_last_step_meets_the_very_numbers(data: st.DataObject) -> None:
    """Over all that is claimed to be known: gaps, words that the encoder knows not, words that it puts together."""
    holes, closed = data.draw(st.booleans()), data.draw(st.booleans())
    frame, labels = training(data.draw(st.integers(0, 5)), holes=holes)
    pipeline = data.draw(pipelines()).fit(frame, labels)
    model = loaded(pipeline, signature_of(frame, holes=holes, closed=closed))
    assert model.matrix is not None
    table = rows_of(model, data.draw(st.integers(0, 1000)), rows=12)
    assert_same(model, table)
    given_columns = input_columns(table, model.signature)
    prediction = model.matrix.predict(given_columns)
    if prediction is not None:
        assert prediction.values.tolist() == model.ask_estimator(given_columns).values.tolist()


def test_a_word_that_is_refused_is_left_to_the_estimator() -> None:
    """The batch has its error, and the rows beside it their answers as always."""
    frame, labels = training(0)
    model = loaded(
        make_pipeline(columns(OrdinalEncoder()), boosted()).fit(frame, labels),
        signature_of(frame, holes=False, closed=False),
    )
    table = rows_of(model, 0, rows=20)
    strange = table.set_column(4, "dept", pa.array(["Sales", "never seen", *["HR"] * 18]))
    assert model.matrix is not None
    assert model.matrix.predict(input_columns(strange, model.signature)) is None
    with pytest.raises(ValueError, match="never seen"):
        model.predict(strange)
    assert_same(model, strange)


@pytest.mark.parametrize("task", [Task.REGRESSION, Task.MULTICLASS])
def test_values_and_several_classes(task: Task) -> None:
    """The same answers, labels and scores to the last bit."""
    frame, _ = training(1, holes=True)
    signature = signature_of(frame, holes=True, closed=False)
    last: Any = HistGradientBoostingRegressor(max_iter=5) if task is Task.REGRESSION else boosted()
    target = frame.age.fillna(0).to_numpy() if task is Task.REGRESSION else np.array(["a", "b", "c"] * 100)
    pipeline = make_pipeline(columns(codes(encoded_missing_value=-2)), last).fit(frame, target)
    classes = () if task is Task.REGRESSION else ("a", "b", "c")
    model = load_model(build_artefact(pipeline, signature, None, name="t"), version=1)
    assert (model.task, model.classes) == (task, classes)
    assert model.matrix is not None
    given_columns = input_columns(rows_of(model, 3, rows=200), signature)
    one, other = model.predict_columns(given_columns), model.ask_estimator(given_columns)
    for mine, theirs in ((one.values, other.values), (one.labels, other.labels), (one.scores, other.scores)):
        assert (mine is None and theirs is None) or np.array_equal(mine, theirs)  # type: ignore[arg-type]


REFUSED = [
    pytest.param(make_pipeline(columns(codes(), transformer_weights={"w": 3}), boosted()), id="weights"),
    pytest.param(make_pipeline(columns(codes()), StandardScaler(), boosted()), id="another step"),
    pytest.param(make_pipeline(columns(codes()).set_output(transform="pandas"), boosted()), id="frames between"),
    pytest.param(make_pipeline(columns(CodesOfMine()), boosted()), id="a subclass of the encoder"),
    pytest.param(make_pipeline(columns("drop"), boosted()), id="no words"),
]  # fmt: skip


@pytest.mark.parametrize("pipeline", REFUSED)
def test_what_is_not_known_gets_frames(pipeline: Pipeline) -> None:
    """The answers are the estimator's."""
    frame, labels = training(0)
    model = loaded(pipeline.fit(frame, labels), signature_of(frame, holes=False, closed=True))
    assert model.matrix is None
    assert_same(model, rows_of(model, 1))


def test_a_method_put_over_the_objects_own_is_not_ignored() -> None:
    """Nobody reads codes off an encoder that answers by other means."""
    frame, labels = training(0)
    pipeline = make_pipeline(columns(codes()), boosted()).fit(frame, labels)
    signature = signature_of(frame, holes=False, closed=True)
    asking = loaded(pipeline, signature).asking
    compile_matrix(asking, signature)
    asking.estimator[0].transform = lambda rows: np.zeros((len(rows), 6))
    with pytest.raises(NoMatrix):
        compile_matrix(asking, signature)


def test_a_matrix_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One code of one word, out by one: the comparison at loading finds it."""
    right = compile_matrix

    def wrong(*arguments: Any) -> MatrixModel:
        model = right(*arguments)
        *others, last = model.parts
        shifted = {word: code + (word == "A") for word, code in last.codes.items()}  # type: ignore[attr-defined]
        return replace(model, parts=[*others, replace(last, codes=shifted)])  # type: ignore[type-var]

    frame, labels = training(2)
    pipeline = make_pipeline(columns(codes()), boosted()).fit(frame, labels)
    signature = signature_of(frame, holes=False, closed=True)
    assert loaded(pipeline, signature).matrix is not None
    monkeypatch.setattr(loaded_model, "compile_matrix", wrong)
    assert loaded(pipeline, signature).matrix is None


def test_any_fault_of_compiling_means_the_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimator whose attributes raise gets frames; no job meets the fault."""

    def raising(*_: Any) -> MatrixModel:
        raise ZeroDivisionError("read off wrongly")

    frame, labels = training(0)
    monkeypatch.setattr(loaded_model, "compile_matrix", raising)
    model = loaded(
        make_pipeline(columns(codes()), boosted()).fit(frame, labels), signature_of(frame, holes=False, closed=True)
    )
    assert model.matrix is None
    assert_same(model, rows_of(model, 3, rows=5))
