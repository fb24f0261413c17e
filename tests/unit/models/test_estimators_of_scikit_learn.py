"""Parts of scikit-learn beyond the tutorials': each is served with its own answers, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, ExtraTreesClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - IterativeImputer is to be asked for
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegressionCV, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC

from model.errors import ArtefactError
from model.own_threshold import goes_by_distance
from tests.unit.models.test_models_of_others import (
    FRAME,
    FULL,
    LABELS,
    LR,
    NUMBERS,
    ROWS,
    THREE,
    WORDS,
    assert_own_answers,
    fitted,
    people,
    prepared,
    registered,
    table_of,
)
from worker.models.check import check_model
from worker.models.loaded_model import load_model

pytestmark = pytest.mark.filterwarnings("ignore")


def on_numbers(*steps: Any) -> Any:
    """Steps before a regression, on numbers with gaps that a first step fills."""
    return make_pipeline(SimpleImputer(), *steps, LR()).fit(FRAME[NUMBERS], LABELS)


def on_words(vectorizer: Any) -> Any:
    """A vectorizer of one column of texts, beside numbers."""
    steps = ColumnTransformer([("t", vectorizer, "city"), ("n", SimpleImputer(), NUMBERS)])
    return make_pipeline(steps, LR()).fit(FRAME[[*NUMBERS, "city"]].fillna({"city": ""}), LABELS)


def last(estimator: Any, labels: Any = LABELS) -> Any:
    """The tutorial's pipeline, dense, with this at its end."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return fitted(prepared(estimator, encoder=encoder, filled=True), labels=labels)


def by_dtype() -> Any:
    """Columns that are chosen by their type."""
    steps = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include=np.number)),
            ("w", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
        ]
    )
    return make_pipeline(steps, LR()).fit(FRAME[[*NUMBERS, *WORDS]], LABELS)


SERVED: dict[str, Callable[[], Any]] = {
    "FeatureUnion": lambda: on_numbers(
        FeatureUnion([("a", StandardScaler()), ("b", PolynomialFeatures(2))]), StandardScaler()),
    "make_column_selector": by_dtype,
    "KNNImputer": lambda: make_pipeline(KNNImputer(n_neighbors=3), StandardScaler(), LR()).fit(FRAME[NUMBERS], LABELS),
    "IterativeImputer": lambda: make_pipeline(IterativeImputer(max_iter=5, random_state=0), LR()).fit(
        FRAME[NUMBERS], LABELS),
    "MissingIndicator": lambda: make_pipeline(
        FeatureUnion([("f", SimpleImputer()), ("m", MissingIndicator())]), LR()).fit(FRAME[NUMBERS], LABELS),
    "KBinsDiscretizer": lambda: on_numbers(KBinsDiscretizer(4)),
    "SplineTransformer": lambda: on_numbers(SplineTransformer(n_knots=4)),
    "PolynomialFeatures": lambda: on_numbers(StandardScaler(), PolynomialFeatures(2)),
    "QuantileTransformer": lambda: on_numbers(QuantileTransformer(n_quantiles=20)),
    "PowerTransformer": lambda: on_numbers(PowerTransformer()),
    "MinMaxScaler": lambda: on_numbers(MinMaxScaler()),
    "MinMaxScaler that clips": lambda: on_numbers(MinMaxScaler(clip=True)),
    "RobustScaler": lambda: on_numbers(RobustScaler()),
    "Normalizer": lambda: on_numbers(Normalizer()),
    "Binarizer": lambda: on_numbers(Binarizer(threshold=3.0)),
    "CountVectorizer": lambda: on_words(CountVectorizer(analyzer="char")),
    "HashingVectorizer": lambda: on_words(HashingVectorizer(n_features=16, analyzer="char")),
    "TargetEncoder": lambda: fitted(prepared(LR(), encoder=TargetEncoder(random_state=0))),
    "AdaBoost": lambda: last(AdaBoostClassifier(n_estimators=5, random_state=0)),
    "Bagging": lambda: last(BaggingClassifier(n_estimators=5, max_features=0.6, random_state=0)),
    "Bagging of three classes": lambda: last(BaggingClassifier(n_estimators=5, random_state=0), THREE),
    "ExtraTrees": lambda: last(ExtraTreesClassifier(10, random_state=0)),
    "GaussianProcess": lambda: last(GaussianProcessClassifier(random_state=0)),
    "LDA": lambda: last(LinearDiscriminantAnalysis()),
    "LDA of three classes": lambda: last(LinearDiscriminantAnalysis(), THREE),
    "QDA": lambda: make_pipeline(SimpleImputer(), QuadraticDiscriminantAnalysis()).fit(FRAME[NUMBERS], LABELS),
    "SGD with log loss": lambda: last(SGDClassifier(loss="log_loss", random_state=0)),
    "LogisticRegressionCV": lambda: last(LogisticRegressionCV(Cs=3, cv=2, max_iter=500)),
    "OneVsRest": lambda: last(OneVsRestClassifier(LR()), THREE),
    "OneVsRest of two classes": lambda: last(OneVsRestClassifier(LR())),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
def test_each_answers_as_by_itself(name: str) -> None:
    """Real rows with gaps, unknown words and values beyond the training: the service says what the estimator says."""
    model = load_model(registered(SERVED[name]()), version=1)
    rows = people(9)
    rows.loc[:3, "city"] = "Nowhere"
    rows.loc[4:6, "age"] = [3, 130, 17]
    report = check_model(model, table_of(model.signature, rows))
    assert report.differences == {}
    assert report.answered >= ROWS - 60
    assert_own_answers(model, rows)


def test_a_setting_of_the_process_that_is_in_no_file_is_refused_in_words() -> None:
    """Columns are named behind a step that gives frames only where set_config says so, and here it does not."""
    with sklearn.config_context(transform_output="pandas"):
        second = ColumnTransformer([("n", StandardScaler(), NUMBERS)])
        model = make_pipeline(SimpleImputer(), second, LR()).fit(FRAME[NUMBERS], LABELS)
    with pytest.raises(ArtefactError, match=r"set_output\(transform=\"pandas\"\)"):
        registered(model)
    model = make_pipeline(SimpleImputer(), second, LR()).set_output(transform="pandas").fit(FRAME[NUMBERS], LABELS)
    loaded = load_model(registered(model), version=1)
    assert check_model(loaded, table_of(loaded.signature, people(9))).is_equal


def test_a_file_beyond_the_limit_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is opened."""
    monkeypatch.setattr("shared.files.model_size.MOST_BYTES", 2_000_000)
    with pytest.raises(ArtefactError, match=r"has 3 MB; the most is 2 MB\. Save it with joblib's compress=3"):
        registered(bytes(3_000_000))
    assert registered(LR().fit(FULL, LABELS)).content


@pytest.mark.parametrize("unit", ["ns", "us", "D"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_classes_that_are_times_are_refused_in_any_unit(kind: str, unit: str) -> None:
    """Of nanoseconds they looked like whole numbers, and the worker failed."""
    classes = np.arange(2).astype(f"{kind}[{unit}]")
    with pytest.raises(
        ArtefactError, match=rf"classes are of type {kind}; they can be texts.* Train it on them as texts"
    ):
        registered(LR().fit(FULL, classes[LABELS]))


@pytest.mark.parametrize("labels", [LABELS, THREE], ids=["binary", "multiclass"])
def test_labels_of_support_vectors_go_by_another_rule(labels: Any) -> None:
    """`predict` of SVC goes by distances and not by its probabilities, which are what is served: no fault of ours."""
    model = make_pipeline(StandardScaler(), SVC(probability=True, random_state=0)).fit(FULL, labels)
    assert goes_by_distance(model)
    assert not goes_by_distance(make_pipeline(StandardScaler(), LR()))
    loaded = load_model(registered(model), version=1)
    assert check_model(loaded, table_of(loaded.signature, people(9))).is_equal
