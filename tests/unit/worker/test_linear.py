"""The compiled form of linear pipelines: scikit-learn's own answers, or none at all."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from tests.models import PriorShift, ScalerOfMine
from tests.unit.worker.pipeline_support import assert_same, loaded, rows_of, signature_of, training
from worker.models import loaded_model
from worker.models.linear.compile import NotLinear, compile_linear
from worker.models.linear.compiled import LinearModel

FUNCTIONS = {"nothing": None, "at least": partial(np.less_equal, [30.0, 2500.0, 1.0])}


@st.composite
def pipelines(draw: st.DrawFn, *, holes: bool) -> Pipeline:
    """A pipeline of parts that the compiled form claims to know, in any order, chosen in any way."""
    numeric: list[Any] = []
    if holes:
        numeric.append(SimpleImputer(strategy=draw(st.sampled_from(["mean", "median", "most_frequent", "constant"]))))
    if function := draw(st.sampled_from([None, *FUNCTIONS])):
        numeric.append(FunctionTransformer(FUNCTIONS[function]))
    if draw(st.booleans()):
        numeric.append(StandardScaler(with_mean=draw(st.booleans()), with_std=draw(st.booleans())))
    words: list[Any] = []
    if holes and draw(st.booleans()):
        words.append(SimpleImputer(strategy=draw(st.sampled_from(["most_frequent", "constant"])), fill_value="Sales"))
    unknown = draw(st.sampled_from(["error", "ignore"]))
    words.append(OneHotEncoder(handle_unknown=unknown, sparse_output=draw(st.booleans())))
    choice = draw(st.sampled_from(["names", "places", "negative", "slice", "names slice", "mask"]))
    numbers = make_pipeline(*numeric) if numeric else "passthrough"
    parts = [("n", numbers, _chosen(choice, 0, 3)), ("w", make_pipeline(*words), _chosen(choice, 4, 6))]
    flags = draw(st.sampled_from(["passthrough", "drop"]))
    if draw(st.booleans()):
        parts.append(("b", flags, ["over"]))
        flags = "drop"
    if draw(st.booleans()):
        parts.reverse()
    steps: list[Any] = [ColumnTransformer(parts, remainder=flags, sparse_threshold=draw(st.sampled_from([0, 0.3])))]
    if draw(st.booleans()):
        steps.append(StandardScaler(with_mean=False))
    if draw(st.booleans()):
        steps.append(ColumnTransformer([("s", StandardScaler(with_mean=False), [-1, 0])], remainder="passthrough"))
    if draw(st.booleans()):
        steps.append("passthrough")
    return make_pipeline(*steps, LogisticRegression(C=draw(st.sampled_from([0.1, 1.0, 30.0])), max_iter=200))


def _chosen(how: str, first: int, end: int) -> Any:
    names = ("age", "pay", "kids", "over", "dept", "city")
    if how == "names":
        return list(names[first:end])
    if how == "places":
        return list(range(first, end))
    if how == "negative":
        return [place - len(names) for place in range(first, end)]
    if how == "slice":
        return slice(first, end)
    if how == "names slice":
        return slice(names[first], names[end - 1])
    return [first <= place < end for place in range(len(names))]


# Not shrunk: a pipeline is small as it is, and each try costs a fit.
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.data())
def test_the_compiled_form_answers_as_the_pipeline_does(data: st.DataObject) -> None:
    """Over all that it claims to know: nulls, unknown words, columns chosen by names, places, slices and masks."""
    holes, closed = data.draw(st.booleans()), data.draw(st.booleans())
    frame, labels = training(data.draw(st.integers(0, 5)), holes=holes)
    pipeline = data.draw(pipelines(holes=holes)).fit(frame, labels)
    model = loaded(pipeline, signature_of(frame, holes=holes, closed=closed))
    assert model.linear is not None
    assert_same(model, rows_of(model, data.draw(st.integers(0, 1000)), rows=12))


def refused_parts() -> list[Any]:
    """What the compiled form must not claim to know, each in a pipeline of its own."""
    weighted = ColumnTransformer([("n", StandardScaler(), ["age", "pay"])], transformer_weights={"n": 3})
    return [
        pytest.param(make_pipeline(SimpleImputer(missing_values=gap, strategy="median"), StandardScaler(), LR()), gap,
                     id=f"imputer of {gap}") for gap in (-999.0, -99.0, 9999.0, -1.0, 0.0)
    ] + [
        pytest.param(make_pipeline(SimpleImputer(add_indicator=True), LR()), None, id="indicator"),
        pytest.param(make_pipeline(StandardScaler(), PriorShift()), None, id="a subclass of the regression"),
        pytest.param(make_pipeline(ScalerOfMine(), LR()), None, id="a subclass of the scaler"),
        pytest.param(make_pipeline(FunctionTransformer(np.square), LR()), None, id="another function"),
        pytest.param(make_pipeline(weighted, LR()), None, id="weights"),
        pytest.param(make_pipeline(StandardScaler(), FunctionTransformer(np.log1p), LR()), None, id="log of scaled"),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "option",
    [{"drop": "first"}, {"min_frequency": 70}, {"max_categories": 2}, {"handle_unknown": "infrequent_if_exist"},
     {"dtype": np.float32}],
)  # fmt: skip
def test_an_encoder_that_drops_or_merges_categories_is_left_to_scikit_learn(option: dict[str, Any]) -> None:
    """Each option by itself: the answers are the estimator's own."""
    frame, labels = training(5)
    words = ColumnTransformer([("w", OneHotEncoder(**{"handle_unknown": "ignore", **option}), ["dept", "city"])])
    model = loaded(make_pipeline(words, LR()).fit(frame, labels), signature_of(frame, holes=False, closed=False))
    with pytest.raises(NotLinear):
        compile_linear(model.estimator, model.signature, 1)
    assert model.linear is None
    assert_same(model, rows_of(model, 1))


def LR() -> LogisticRegression:  # noqa: N802
    return LogisticRegression(max_iter=500)


@pytest.mark.filterwarnings("ignore:invalid value encountered in log1p")
@pytest.mark.parametrize(("pipeline", "marker"), refused_parts())
def test_what_is_not_known_to_the_last_option_is_left_to_scikit_learn(pipeline: Any, marker: float | None) -> None:
    """An option that changes the sum, a subclass, an unknown part: no compiled form, and so the estimator's answers."""
    frame, labels = training(0, marker=marker)
    frame = frame[["age", "pay"]].abs() if marker is None else frame[["age", "pay"]].astype(float)
    if any(getattr(step, "func", None) is np.log1p for step in pipeline):
        frame = frame.clip(lower=0)
        pipeline.set_params(standardscaler__with_mean=False)
    model = loaded(pipeline.fit(frame, labels), signature_of(frame, holes=False, closed=False))
    with pytest.raises(NotLinear):
        compile_linear(model.estimator, model.signature, 1)
    assert model.linear is None
    assert_same(model, rows_of(model, 1))


def test_a_method_put_over_the_objects_own_is_not_ignored() -> None:
    """Nobody reads weights off an estimator that answers by other means."""
    frame, labels = training(0)
    pipeline = make_pipeline(StandardScaler(), LR()).fit(frame[["age", "pay"]], labels)
    signature = signature_of(frame[["age", "pay"]], holes=False, closed=False)
    compile_linear(pipeline, signature, 1)
    pipeline[-1].predict_proba = lambda rows: np.full((len(rows), 2), 0.5)
    with pytest.raises(NotLinear):
        compile_linear(pipeline, signature, 1)


def test_any_fault_of_compiling_means_the_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimator whose attributes raise is scored by itself; no job meets the fault."""

    def raising(*_: Any) -> LinearModel:
        raise ZeroDivisionError("read off wrongly")

    frame, labels = training(0)
    monkeypatch.setattr(loaded_model, "compile_linear", raising)
    pipeline = make_pipeline(StandardScaler(), LR()).fit(frame[["age", "pay"]], labels)
    model = loaded(pipeline, signature_of(frame[["age", "pay"]], holes=False, closed=False))
    assert model.linear is None
    assert_same(model, rows_of(model, 3, rows=5))


@pytest.mark.parametrize("shift", [0.5, -0.5, 1e-6])
def test_a_compiled_form_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    """The check at loading compares log-odds on rows that are neither 0 nor 1, whatever the scale of the features."""
    right = compile_linear

    def wrong(*arguments: Any) -> LinearModel:
        model = right(*arguments)
        model._intercept += shift
        return model

    frame, labels = training(2)
    frame = frame.assign(pay=frame.pay * 1e-4, age=frame.age * 1e5)
    pipeline = make_pipeline(StandardScaler(), LR()).fit(frame[["age", "pay"]], labels)
    signature = signature_of(frame[["age", "pay"]], holes=False, closed=False)
    assert loaded(pipeline, signature).linear is not None
    monkeypatch.setattr(loaded_model, "compile_linear", wrong)
    assert loaded(pipeline, signature).linear is None


def test_a_model_whose_answers_are_all_0_or_1_is_left_to_scikit_learn() -> None:
    """Among such rows no comparison could see a fault of the compiled form."""
    frame, labels = training(2)
    pipeline = make_pipeline(StandardScaler(), LR()).fit(frame[["age", "pay"]], labels)
    signature = signature_of(frame[["age", "pay"]], holes=False, closed=False)
    assert loaded(pipeline, signature).linear is not None
    pipeline[-1].intercept_ += 1000.0
    assert loaded(pipeline, signature).linear is None


def test_rows_drawn_for_the_check_are_not_saturated() -> None:
    """At least half of them are far from 0 and 1, for features of any scale without bounds in the signature."""
    for scale in (1e-6, 1.0, 1e6):
        frame, labels = training(1)
        frame = frame[["age", "pay"]] * scale
        pipeline = make_pipeline(StandardScaler(), LR()).fit(frame, labels)
        model = loaded(pipeline, signature_of(frame, holes=False, closed=False))
        answers = model.predict(rows_of(model, 5, rows=200)).values
        assert ((answers > 1e-3) & (answers < 1 - 1e-3)).mean() > 0.5


@pytest.mark.parametrize("value", [1e308, -1e308, 1e200, -1.0, -2.0])
def test_numbers_that_scikit_learn_refuses_are_refused(value: float) -> None:
    """Where a scaled value overflows or a logarithm has no value, the estimator says so and not a probability."""
    frame, labels = training(0)
    log = ColumnTransformer([("l", FunctionTransformer(np.log1p), ["age"]), ("p", "passthrough", ["pay"])])
    pipeline = make_pipeline(log, StandardScaler(), LR()).fit(frame[["age", "pay"]].abs(), labels)
    signature = Signature(tuple(FeatureSpec(name, FeatureKind.NUMBER, minimum=0) for name in ("age", "pay")))
    model = loaded(pipeline, signature)
    assert model.linear is not None
    with np.errstate(all="ignore"):
        assert_same(model, pa.table({"age": [value, 1.0], "pay": [1.0, value]}))


def test_steps_at_least_a_grade_are_compiled() -> None:
    """The form that the sample's own models use."""
    frame, labels = training(0)
    at_least = FunctionTransformer(partial(np.less_equal, np.array([1.0, 2.0])))
    columns = ColumnTransformer(
        [("a", "passthrough", [0, 1]), ("s", at_least, [1, 1]), ("l", FunctionTransformer(np.log1p), [0])]
    )
    first = ColumnTransformer([("n", SimpleImputer(), ["age", "kids"])])
    pipeline = make_pipeline(first, columns, StandardScaler(), LR()).fit(frame, labels)
    model = loaded(pipeline, signature_of(frame, holes=False, closed=False))
    assert model.linear is not None
    assert_same(model, rows_of(model, 0))


def test_a_frame_in_another_order_is_not_compiled_by_place() -> None:
    """Where the signature has the features in another order than the fit, the pipeline decides by name."""
    frame, labels = training(0)
    places = ColumnTransformer([("n", StandardScaler(), [0, 1])])
    pipeline = make_pipeline(places, LR()).fit(frame[["age", "pay"]], labels)
    signature = signature_of(frame, holes=False, closed=False, order=["pay", "age"])
    with pytest.raises(NotLinear):
        compile_linear(pipeline, signature, 1)


def test_a_model_that_makes_numpy_raise_does_not_slow_the_others() -> None:
    """Arithmetic of ours is guarded: a process-wide setting of a model leaves the compiled form usable."""
    frame, labels = training(0)
    pipeline = make_pipeline(StandardScaler(), LR()).fit(frame[["age", "pay"]], labels)
    signature = signature_of(frame[["age", "pay"]], holes=False, closed=False)
    with np.errstate(all="raise"):
        model = loaded(pipeline, signature)
        assert model.linear is not None
        table = pa.table({"age": pa.array([-(10**9), 10**9]), "pay": [0.0, 0.0]})
        assert sorted(model.predict(table).values.tolist()) == [0.0, 1.0]


class Twice(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Not known, and so not compiled."""

    def fit(self, rows: Any, labels: Any = None) -> Twice:
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows: Any) -> Any:
        return rows * 2


def test_the_tutorials_pipeline_is_served() -> None:
    """Imputer and one-hot encoder on words, median and scaler on numbers: the form of every tutorial."""
    frame, labels = training(4, holes=True)
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("num", numeric, ["age", "pay"]), ("cat", words, ["dept", "city"])])
    for last in (LR(), make_pipeline(Twice(), LR())):
        model = loaded(
            Pipeline([("p", columns), ("m", last)]).fit(frame, labels), signature_of(frame, holes=True, closed=False)
        )
        assert_same(model, rows_of(model, 0))
