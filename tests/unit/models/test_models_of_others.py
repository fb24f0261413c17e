"""Models as people have them: each is served with the estimator's own answers, or refused with words that help."""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from model.errors import ArtefactError, ArtefactIncompatible, ModelRefused
from model.signature.inside import sights
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.models.task import Task
from tests.models import NoClasses, Odd, TestModel, Wrapper, as_text, codes
from tests.unit.worker.test_small import a_claim
from worker.models.check import check_model
from worker.models.loaded_model import load_model
from worker.models.references.answers import make_reference, require_same_answers
from worker.models.registration import Offer, prepare
from worker.pages.decode import decode_features
from worker.scoring.answers import make_page
from worker.scoring.feature_reader import Rows
from worker.scoring.prediction import predict_rows
from worker.sources.arrow_types import arrow_type

pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = 160


@dataclass(frozen=True)
class Column:
    """A column of a source."""

    name: str
    type: str
    nullable: bool = True
    comment: str | None = None


COLUMNS = [
    Column("age", "integer", nullable=False, comment="in years"),
    Column("pay", "double precision"),
    Column("kids", "smallint"),
    Column("over", "boolean"),
    Column("dept", "text"),
    Column("city", "varchar"),
    Column("joined", "timestamptz"),
]


def people(seed: int = 0) -> pd.DataFrame:
    """Rows as read_sql gives them: numbers with holes as float64, words and flags with holes as objects."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 70, ROWS),
            "pay": random.normal(5, 2, ROWS),
            "kids": random.integers(0, 5, ROWS).astype(float),
            "over": pd.Series(random.random(ROWS) < 0.4, dtype=object),
            "dept": pd.Series(random.choice(["Sales", "R&D", "HR"], ROWS), dtype=object),
            "city": pd.Series(random.choice(list("ABCDE"), ROWS), dtype=object),
            "joined": pd.to_datetime(random.integers(1_500_000_000, 1_700_000_000, ROWS), unit="s", utc=True).as_unit(
                "us"
            ),
        }
    )
    for name in ("pay", "kids", "over", "dept", "city"):
        frame.loc[random.random(ROWS) < 0.12, name] = np.nan
    return frame


FRAME = people()
PULL = (FRAME.age - 40) / 15 + 0.4 * (FRAME.pay.fillna(5) - 5) + (FRAME.dept == "HR") * 1.5 - (FRAME.city == "A")
LABELS = (np.random.default_rng(1).random(ROWS) < 1 / (1 + np.exp(-PULL))).astype(int).to_numpy()
NUMBERS = ["age", "pay", "kids"]
WORDS = ["dept", "city"]
FULL = FRAME[NUMBERS].fillna(1.0)
THREE = np.array(["low", "mid", "top"])[(PULL > 0).astype(int) + (PULL > 1).astype(int)]


def LR() -> LogisticRegression:  # noqa: N802
    return LogisticRegression(max_iter=500)


def prepared(last: Any, *, encoder: Any = None, filled: bool = False) -> Any:
    """The pipeline of every tutorial: medians and scales, words as ones and zeros."""
    encoder = encoder or OneHotEncoder(handle_unknown="ignore")
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder) if filled else encoder
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(ColumnTransformer([("n", numbers, NUMBERS), ("w", words, WORDS)]), last)


def dumped(estimator: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue()


def registered(estimator: Any, **more: Any) -> Any:
    """The artefact of an estimator, a file or bytes, as registration makes it."""
    content = estimator if isinstance(estimator, bytes) else dumped(estimator)
    return prepare(Offer(content, "theirs", **{"columns": COLUMNS, **more}))


def table_of(signature: Signature, frame: pd.DataFrame) -> pa.Table:
    """The frame as the reader of a source gives it."""
    columns = []
    for spec in signature.features:
        values = frame[spec.name]
        cells = [None if pd.isna(value) else value for value in values.tolist()]
        if spec.kind is FeatureKind.INTEGER:
            cells = [None if cell is None else int(cell) for cell in cells]
        plain = pa.string() if spec.kind is FeatureKind.CATEGORY else arrow_type(spec)
        columns.append(pa.array(cells, plain).cast(arrow_type(spec)))
    return pa.Table.from_arrays(columns, names=list(signature.names))


def fitted(estimator: Any, names: list[str] | None = None, labels: Any = LABELS) -> Any:
    return estimator.fit(FRAME[names or NUMBERS + WORDS], labels)


SERVED: dict[str, Callable[[], Any]] = {
    "tutorial": lambda: fitted(prepared(LR(), filled=True)),
    "tutorial with a forest": lambda: fitted(prepared(RandomForestClassifier(10), filled=True)),
    "NaN is a category": lambda: fitted(prepared(LR())),
    "an encoder that refuses": lambda: fitted(prepared(LR(), encoder=OneHotEncoder())),
    "ordinal": lambda: fitted(prepared(RandomForestClassifier(5), encoder=OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1))),
    "grid search": lambda: fitted(GridSearchCV(prepared(LR()), {"logisticregression__C": [0.1, 1.0]}, cv=2)),
    "calibrated": lambda: fitted(CalibratedClassifierCV(prepared(LinearSVC()), cv=2)),
    "stacking": lambda: fitted(prepared(StackingClassifier([("a", LR()), ("b", GaussianNB())], cv=2),
                                        encoder=OneHotEncoder(handle_unknown="ignore", sparse_output=False))),
    "soft voting": lambda: fitted(prepared(VotingClassifier(
        [("a", LR()), ("b", DecisionTreeClassifier())], voting="soft"))),
    "a fixed threshold": lambda: fitted(FixedThresholdClassifier(prepared(LR()), threshold=0.3)),
    "a tuned threshold": lambda: fitted(TunedThresholdClassifierCV(prepared(LR()), cv=2)),
    "boosting takes gaps": lambda: fitted(HistGradientBoostingClassifier(max_iter=10), [*NUMBERS, "over"]),
    "neighbours": lambda: KNeighborsClassifier(3).fit(FULL, LABELS),
    "three classes": lambda: fitted(prepared(LR()), labels=THREE),
    "three classes of a forest": lambda: fitted(prepared(RandomForestClassifier(10)), labels=THREE),
    "regression": lambda: fitted(prepared(Ridge()), labels=PULL),
    "regression with classes, none of them": lambda: fitted(prepared(NoClasses()), labels=PULL),
    "regression by boosting": lambda: fitted(HistGradientBoostingRegressor(max_iter=10), NUMBERS, labels=PULL),
    "logarithm of the target": lambda: fitted(
        TransformedTargetRegressor(prepared(Ridge()), func=np.log1p, inverse_func=np.expm1), labels=PULL - PULL.min()),
    "rounding": lambda: Odd("rounding").fit(FULL, LABELS),
    "probabilities in a frame": lambda: Odd("frame").fit(FULL, LABELS),
    "probabilities in a list": lambda: Odd("list").fit(FULL, LABELS),
    "probabilities as float32": lambda: Odd("float32").fit(FULL, LABELS),
    "np.seterr": lambda: Odd("seterr").fit(FULL, LABELS),
    "words in a text": lambda: make_pipeline(ColumnTransformer([
        ("t", TfidfVectorizer(analyzer="char"), "city"), ("n", SimpleImputer(), NUMBERS)]), LR()).fit(
        FRAME[[*NUMBERS, "city"]].fillna({"city": ""}), LABELS),
    "pandas inside": lambda: fitted(prepared(LR(), encoder=OneHotEncoder(handle_unknown="ignore", sparse_output=False))
                                    .set_output(transform="pandas")),
    "a lambda": lambda: cloudpickle.dumps(make_pipeline(
        FunctionTransformer(lambda frame: frame.fillna(0.0)), LR()).fit(FRAME[NUMBERS], LABELS)),
    "a plain pickle": lambda: pickle.dumps(fitted(prepared(LR()))),
    "skops": lambda: skops.io.dumps(fitted(prepared(LR()))),
    "classes No and Yes": lambda: fitted(prepared(LR()), labels=np.where(LABELS == 1, "Yes", "No")),
    "classes False and True": lambda: fitted(prepared(LR()), labels=LABELS == 1),
    "classes -1 and 1": lambda: fitted(prepared(LR()), labels=LABELS * 2.0 - 1),
    "whole numbers as texts": lambda: make_pipeline(
        FunctionTransformer(as_text), OneHotEncoder(handle_unknown="ignore"), LR()).fit(FRAME[["kids"]], LABELS),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
def test_what_is_served_answers_as_the_estimator_does(name: str) -> None:
    """Real rows, with gaps and unknown words: the service, a stored page and the estimator itself say the same.

    The estimator is asked with the very frame that the training read, not with one of ours.
    """
    found = SERVED[name]()
    artefact = registered(found)
    model = load_model(artefact, version=1, digest=artefact.metadata.digest)
    rows = people(9)
    if set(model.signature.names) <= {"age", "pay", "kids"} and not model.signature.features[-1].nullable:
        rows = rows.fillna({"pay": 1.0, "kids": 1.0})
    rows.loc[:3, "city"] = "Nowhere"
    report = check_model(model, table_of(model.signature, rows))
    assert report.differences == {}
    assert report.answered >= ROWS - 60
    assert_own_answers(model, rows)


def assert_own_answers(model: Any, rows: pd.DataFrame) -> None:
    """Row by row from frames as pandas reads them."""
    frame = rows[list(model.signature.names)]
    table = table_of(model.signature, rows)
    for number in range(0, ROWS, 20):
        try:
            with np.errstate():
                direct = (
                    model.estimator.predict(frame.iloc[[number]])
                    if model.task is Task.REGRESSION
                    else model.estimator.predict_proba(frame.iloc[[number]])
                )
        except ValueError:
            continue
        answer = model.predict(table.slice(number, 1))
        own = np.asarray(direct, dtype=float).reshape(-1)
        if model.task is Task.BINARY:
            own = np.clip(own[model.asking.columns[1]], 0, 1)
        mine = answer.values if answer.scores is None else answer.scores.reshape(-1)
        np.testing.assert_allclose(mine, own, rtol=1e-9, atol=1e-12)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "dict": (lambda: {"model": Odd(), "columns": NUMBERS}, r"a dict with model, columns: .*\['model'\]"),
    "tuple": (lambda: (LR(), "v1"), "a tuple with LogisticRegression in it: save the model alone"),
    "frame": (lambda: FRAME, "holds a DataFrame, which is no model"),
    "class": (lambda: LogisticRegression, "the class LogisticRegression: save a fitted object"),
    "scaler": (lambda: StandardScaler().fit(FULL), "StandardScaler makes features and no answers"),
    "not fitted": (LR, "LogisticRegression is not fitted"),
    "no classes": (lambda: Wrapper().fit(FULL, LABELS), r"Wrapper has .* no classes_.*classes_ = np\.unique"),
    "no classes but inside": (lambda: Wrapper(LR()).fit(FULL, LABELS), r"self\.classes_ = self\.inside\.classes_"),
    "no classes at the end": (lambda: make_pipeline(FunctionTransformer(), Wrapper()).fit(FULL, LABELS), "Wrapper has"),
    "regression not fitted": (Ridge, "Ridge is not fitted"),
    "clusters": (lambda: KMeans(2).fit(FULL), "KMeans finds clusters"),
    "outliers": (lambda: IsolationForest().fit(FULL), "IsolationForest looks for outliers"),
    "one class": (lambda: OneClassSVM().fit(FULL), "OneClassSVM looks for outliers"),
    "no probabilities": (lambda: fitted(prepared(LinearSVC())), "LinearSVC, which answers inside Pipeline, tells no"),
    "hard voting": (lambda: VotingClassifier([("a", LR())]).fit(FULL, LABELS), 'voting="soft"'),
    "multi-label forest": (lambda: RandomForestClassifier(2).fit(FULL, np.c_[LABELS, LABELS]), "several labels"),
    "multi-output": (lambda: MultiOutputClassifier(LR()).fit(FULL, np.c_[LABELS, LABELS]), "several labels"),
    "chain": (lambda: ClassifierChain(LR()).fit(FULL, np.c_[LABELS, 1 - LABELS]), "several labels|knows"),
    "multi-label network": (lambda: MLPClassifier(2, max_iter=2).fit(FULL, np.c_[LABELS, LABELS]), "several labels"),
    "several numbers": (lambda: MultiOutputRegressor(Ridge()).fit(FULL, np.c_[PULL, PULL]), "2 numbers a row: save"),
    "two targets": (lambda: LinearRegression().fit(FULL, np.c_[PULL, PULL]), "2 numbers a row: save one"),
    "targets inside": (lambda: fitted(prepared(Ridge()), labels=np.c_[PULL, PULL, PULL]), "3 numbers a row: save"),
    "one class alone": (lambda: DummyClassifier().fit(FULL, np.ones(ROWS)), "knows one class alone, 1.0"),
    "two classes, none plain": (lambda: fitted(prepared(LR()), labels=LABELS + 1), "The model knows 1, 2. Say --pos"),
    "flat": (lambda: Odd("flat").fit(FULL, LABELS), r"shape \(1,\) for 1 rows and 2 classes"),
    "one column": (lambda: Odd("one column").fit(FULL, LABELS), r"shape \(1, 1\)"),
    "none": (lambda: Odd("none").fit(FULL, LABELS), "answered with NoneType"),
    "sparse": (lambda: Odd("sparse").fit(FULL, LABELS), "answered with csr_matrix"),
    "three columns": (lambda: Odd("three columns").fit(FULL, LABELS), r"shape \(1, 3\)"),
    "complex": (lambda: Odd("complex").fit(FULL, LABELS), "numbers of type complex128"),
    "one row for all": (lambda: Odd("one row").fit(FULL, LABELS), r"shape \(1, 2\) for 50 rows"),
    "per cent": (lambda: Odd("per cent").fit(FULL, LABELS), "per cent"),
    "nan": (lambda: Odd("nan").fit(FULL, LABELS), "no number for any"),
    "sorted": (lambda: Odd("sorted").fit(FULL, LABELS), "another answer when scored alone.*--force"),
    "mean of the batch": (lambda: Odd("mean").fit(FULL, LABELS), "alone: by up to"),
    "random": (lambda: Odd("random").fit(FULL, LABELS), "a second time"),
    "codes of the batch": (lambda: make_pipeline(FunctionTransformer(codes), LR()).fit(
        FRAME[WORDS].fillna(""), LABELS), "alone: by up to"),
    "no names": (lambda: LR().fit(FULL.to_numpy(), LABELS), "what its 3 features are called.*--signature"),
    "empty": (lambda: b"", "is empty"),
    "text": (lambda: b"age,pay\n1,2\n", "holds text, not a model: it begins with 'age,pay"),
    "a table": ("numéro;prénom\n1;Zoé\n".encode, "not a model: it begins with 'numéro;.*looks like a table"),
    "an old table": (lambda: "client;prénom\n1;Zoé\n".encode("cp1252"), "begins with 'client;.*looks like a table"),
    "cut": (lambda: dumped(LR())[:50], "is no whole joblib or pickle file"),
    "exits": (lambda: b"cposix\n_exit\n" and pickle.dumps(_Exit()), r"ends the process that loads it \(exit 7\)"),
    "missing module": (lambda: b"cnot_installed.tools\nOwn\n.", "needs the Python module 'not_installed'"),
    "of a notebook": (lambda: b"c__main__\nOwn\n.", "'Own' was defined in the script or notebook.*cloudpickle"),
    "a word as a number": (lambda: encoded_codes("city", [75001, 13002]), r"learnt numbers \(13002, .*'city'.*is text"),
    "a number as a word": (lambda: encoded_codes("age", ["30", "40"]), r"learnt texts \('30', .*'age'.*is integer"),
    "a flag as a word": (lambda: encoded_codes("over", ["yes", "no"]),
                         r"learnt texts \('no', 'yes'\) for 'over', whose column is boolean.*--types NAME=text"),
    "a day as a word": (lambda: encoded_codes("joined", ["2024-01-31", "2024-02-01"]),
                        r"learnt texts \('2024-01-31', .*'joined'.*parse_dates=\[NAME\]"),
    "unknown types": (lambda: skops.io.dumps(TestModel()), "--allow tests.models.TestModel"),
    "a column of another type": (lambda: LR().fit(FULL.rename(columns={"age": "blob"}), LABELS), "of the type bytea"),
}  # fmt: skip


def encoded_codes(column: str, codes: list[Any]) -> Any:
    """A model whose encoder has learnt `codes` of `column`, and ignores all others."""
    frame = pd.DataFrame({column: codes * (ROWS // 2)})
    return make_pipeline(OneHotEncoder(handle_unknown="ignore"), LR()).fit(frame, LABELS)


class _Exit:
    def __reduce__(self) -> Any:
        return exit, (7,)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_do(name: str) -> None:
    """One or two sentences for a person: never a traceback, never numpy's names of values."""
    build, words = REFUSED[name]
    columns = [*COLUMNS, Column("blob", "bytea")]
    with pytest.raises(ArtefactError, match=f"(?s){words}") as caught:
        registered(build(), columns=columns)
    said = str(caught.value)
    assert "np." not in said.replace("np.unique(y)", "")
    assert "Traceback" not in said
    assert len(said) < 700


def test_a_doubtful_model_can_be_forced_with_a_reason() -> None:
    """The reason and what was seen stay with the version."""
    with pytest.raises(ModelRefused) as caught:
        registered(Odd("mean").fit(FULL, LABELS))
    assert caught.value.can_force
    findings = registered(Odd("mean").fit(FULL, LABELS), force="known, and small").metadata.findings
    assert any("another answer when scored alone" in finding for finding in findings)
    assert findings[-1] == "registered all the same: known, and small"


def test_an_encoder_of_another_type_can_be_forced_with_a_reason() -> None:
    """What is odd stays with the version."""
    with pytest.raises(ModelRefused) as caught:
        registered(encoded_codes("city", [75001, 13002]))
    assert caught.value.can_force
    findings = registered(encoded_codes("city", [75001, 13002]), force="a trial").metadata.findings
    assert any("learnt numbers (" in finding and "registered all the same: a trial" in finding for finding in findings)


def test_a_flag_that_was_said_to_be_a_text_has_the_texts_of_flags() -> None:
    """Of these true and false match; yes and no do not, and are refused as without a word of hers."""
    said = Signature((FeatureSpec("over", FeatureKind.CATEGORY),))
    with pytest.raises(ModelRefused, match=r"learnt texts .*'over', whose column is boolean"):
        registered(encoded_codes("over", ["yes", "no"]), signature=said)
    assert registered(encoded_codes("over", ["true", "false"]), signature=said).metadata.signature.names == ("over",)


def test_an_encoder_that_knows_no_value_of_a_column_is_told_of_each() -> None:
    """Where it was forced all the same: nothing is zero without a word."""
    model = load_model(registered(encoded_codes("over", ["yes", "no"]), force="a trial"), 1)
    rows = people(3)
    report = check_model(model, table_of(model.signature, rows))
    assert report.unknown_categories == {"over": int(rows.over.notna().sum())}


@pytest.mark.parametrize("gap", [None, np.nan])
@pytest.mark.parametrize("name", ["over", "dept"])
def test_a_gap_is_what_it_was_when_the_encoder_was_fitted(name: str, gap: Any) -> None:
    """None and NaN are two categories: read_sql gives None, read_csv NaN, of flags as of words."""
    frame = FRAME[["age", name]].assign(**{name: FRAME[name].astype(object).where(FRAME[name].notna(), gap)})
    encoder = ColumnTransformer([("w", OneHotEncoder(handle_unknown="ignore"), [name])], remainder="passthrough")
    model = load_model(registered(make_pipeline(encoder, LR()).fit(frame, LABELS)), 1)
    answers = model.predict(table_of(model.signature, FRAME)).values
    np.testing.assert_allclose(answers, model.estimator.predict_proba(frame)[:, 1], rtol=1e-12)


def test_a_signature_is_inferred_from_file_and_columns() -> None:
    """Kinds from the columns, gaps from what the model takes, closed lists from encoders that refuse other words."""
    encoders = ColumnTransformer(
        [("n", StandardScaler(), ["age", "pay"]), ("d", OneHotEncoder(), ["dept"]),
         ("c", OneHotEncoder(handle_unknown="ignore"), ["city"])]
    )  # fmt: skip
    full = FRAME.fillna({"pay": 1.0, "dept": "HR", "city": "A"})
    found = registered(
        make_pipeline(encoders, LR()).fit(full[["age", "pay", "dept", "city"]], LABELS)
    ).metadata.signature
    age, pay, dept, city = found.features
    assert (age.kind, age.dtype, age.nullable, age.column_type, age.description) == (
        "integer", "int64", False, "integer", "in years",
    )  # fmt: skip
    assert (pay.dtype, pay.nullable) == ("float64", False)  # the regression takes no gap
    assert (dept.categories, dept.nullable) == (("HR", "R&D", "Sales"), False)
    assert (city.categories, city.nullable) == ((), True)  # a gap is a word that it passes over


@pytest.mark.parametrize(("gap", "missing"), [(None, "none"), (np.nan, "nan")])
def test_a_missing_word_is_what_the_encoder_was_fitted_with(gap: Any, missing: str) -> None:
    """None or NaN: the encoder has a column for the one and zeros for the other."""
    frame = FRAME[["dept"]].astype(object).where(FRAME[["dept"]].notna(), gap)
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LR()).fit(frame, FRAME.dept.isna())
    artefact = registered(pipeline)
    (spec,) = artefact.metadata.signature.features
    assert (spec.missing, spec.nullable) == (missing, True)
    model = load_model(artefact, 1)
    own = pipeline.predict_proba(pd.DataFrame({"dept": pd.Series([gap], dtype=object)}))[0, 1]
    assert model.predict(table_of(model.signature, pd.DataFrame({"dept": [None]}))).values[0] == pytest.approx(
        own, rel=1e-9
    )
    assert own > 0.5


def test_a_text_model_that_was_fitted_on_a_series_gets_one() -> None:
    """Else the vectorizer would read the names of the columns, and every row get one answer."""
    texts = FRAME.dept.fillna("") + " " + FRAME.city.fillna("")
    pipeline = make_pipeline(TfidfVectorizer(token_pattern=r"[^ ]+"), LR()).fit(texts, LABELS)
    artefact = registered(pipeline, columns=[Column("words", "text", nullable=False)])
    model = load_model(artefact, 1)
    answers = model.predict(pa.table({"words": texts.tolist()})).values
    np.testing.assert_allclose(answers, pipeline.predict_proba(texts)[:, 1], rtol=1e-12)
    assert len(set(answers.tolist())) > 5


def test_a_nullable_whole_number_has_one_dtype_whatever_its_neighbours() -> None:
    """The same row alone and beside a gap: "3.0" both times, as the training read it."""
    pipeline = SERVED["whole numbers as texts"]()
    model = load_model(registered(pipeline), 1)
    alone = model.predict(pa.table({"kids": pa.array([3], pa.int64())})).values[0]
    beside = model.predict(pa.table({"kids": pa.array([3, None], pa.int64())})).values[0]
    assert alone == beside == pytest.approx(pipeline.predict_proba(pd.DataFrame({"kids": [3.0]}))[0, 1], rel=1e-12)


def test_a_threshold_of_the_estimators_own_is_taken() -> None:
    """Its labels are then those of `predict`; another one is said beside it."""
    artefact = registered(SERVED["a tuned threshold"]())
    model = load_model(artefact, 1)
    assert model.threshold == pytest.approx(model.estimator.best_threshold_)
    other = registered(SERVED["a fixed threshold"](), threshold=0.5)
    assert other.metadata.findings[0] == "the estimator's own threshold is 0.3, not 0.5"
    assert registered(SERVED["tutorial"]()).metadata.findings[0] == "threshold 0.5: none was given"


@pytest.mark.parametrize(
    ("labels", "said", "classes"),
    [
        (LABELS == 1, "true", (False, True)), (LABELS == 1, "1", (False, True)), (LABELS * 1.0, "1", (0.0, 1.0)),
        (LABELS + 1, "1", (2, 1)), (np.where(LABELS == 1, "Yes", "No"), "no", ("Yes", "No")),
    ],
)  # fmt: skip
def test_a_positive_class_is_understood_as_people_write_it(labels: Any, said: str, classes: tuple[Any, ...]) -> None:
    """The classes are the negative one, then the positive one, in the model's own types."""
    found = registered(LR().fit(FULL, labels), positive=said).metadata.classes
    assert (found, [type(label) for label in found]) == (classes, [type(label) for label in classes])


def test_features_that_the_source_lacks_are_said() -> None:
    """With what is near: promotion will refuse it."""
    columns = [replace(COLUMNS[0], name="Age"), *COLUMNS[1:]]
    findings = registered(LR().fit(FULL, LABELS), columns=columns).metadata.findings
    assert "the source lacks 1 of the model's features: 'age' (there is 'Age')" in findings


def test_a_signature_file_corrects_what_is_inferred() -> None:
    """Feature by feature; one that the model has not is refused."""
    said = Signature((FeatureSpec("pay", FeatureKind.NUMBER, minimum=0.0),))
    found = registered(LR().fit(FULL, LABELS), signature=said).metadata.signature
    assert (found.names, found.features[1].minimum) == (("age", "pay", "kids"), 0.0)
    with pytest.raises(ModelRefused, match="names 'Pay', and the model has no such feature"):
        registered(LR().fit(FULL, LABELS), signature=Signature((FeatureSpec("Pay", FeatureKind.NUMBER),)))


def test_unknown_types_of_skops_are_allowed_by_name_and_then_load() -> None:
    """The worker opens the very bytes that were allowed."""
    content = skops.io.dumps(Odd().fit(FULL, LABELS))
    with pytest.raises(ModelRefused, match=r"--allow tests\.models\.Odd"):
        registered(content)
    artefact = registered(content, allow=["tests.models.Odd"])
    assert artefact.metadata.file_format == "skops"
    assert artefact.metadata.library_versions["scikit-learn"] == "not stated"  # a class of one's own says nothing
    own = registered(skops.io.dumps(fitted(prepared(LR()))))
    assert own.metadata.library_versions["scikit-learn"] == sklearn.__version__
    assert check_model(load_model(artefact, 1), table_of(artefact.metadata.signature, FULL)).is_equal


def test_unknown_words_are_counted_and_shown() -> None:
    """An encoder that passes over a word that it does not know is never silently zero."""
    model = load_model(registered(SERVED["tutorial"]()), 1)
    rows = people(3)
    rows["city"], rows.loc[:4, "city"] = "A", "Nowhere"
    report = check_model(model, table_of(model.signature, rows))
    assert report.unknown_categories == {"city": 5}
    assert report.nulls["pay"] == int(rows.pay.isna().sum())
    assert report.labels.keys() == {"0", "1"}
    assert 0 <= report.quantiles["0%"] <= report.quantiles["50%"] <= report.quantiles["100%"] <= 1


@pytest.mark.parametrize("chosen", ["from_dtype", ["city"]])
def test_words_that_boosting_itself_encodes_are_counted(chosen: Any) -> None:
    """Its encoder stands inside it, and passes over what it does not know as if it were missing."""
    frame = FRAME[[*NUMBERS, "city"]].astype({"city": "category"})
    fitted_one = HistGradientBoostingClassifier(max_iter=10, categorical_features=chosen).fit(frame, LABELS)
    model = load_model(registered(fitted_one), 1)
    rows = people(3)
    rows["city"], rows.loc[:4, "city"] = "A", "Nowhere"
    report = check_model(model, table_of(model.signature, rows))
    assert (report.unknown_categories, report.is_equal) == ({"city": 5}, True)
    inside = {(sight.feature, type(sight.part).__name__): sight.place for sight in sights(fitted_one, list(frame))}
    assert inside["city", "OrdinalEncoder"] == 0
    assert [inside[name, "HistGradientBoostingClassifier"] for name in ("city", *NUMBERS)] == [0, 1, 2, 3]


def test_another_patch_release_is_held_to_the_answers_that_were_kept() -> None:
    """The same to 1e-9, or refused with how many rows differ and by how much."""
    model = load_model(registered(SERVED["tutorial"]()), 1)
    reference = make_reference(model, table_of(model.signature, people(4)))
    assert len(reference.answers) == ROWS
    require_same_answers(model, reference)
    model.estimator[-1].intercept_ += 1e-6
    with pytest.raises(ArtefactIncompatible, match=f"{ROWS} of {ROWS} reference rows otherwise, by up to"):
        require_same_answers(model, reference)


def only_row(row: int, *, of: int) -> str:
    """The bits of a page with one row."""
    return base64.b64encode((1 << row).to_bytes(-(-of // 8), "little")).decode()


@pytest.mark.parametrize("name", ["tutorial", "three classes", "regression"])
def test_a_page_holds_the_answers_of_each_task(name: str) -> None:
    """Values, labels and scores as PostgreSQL takes them; a row with an error has none of them.

    Notes count the words of rows that were scored.
    """
    model = load_model(registered(SERVED[name]()), 1)
    rows = people(2).head(70)
    rows["city"], rows.loc[[1, 5], "city"] = "A", "Nowhere"
    table = table_of(model.signature, rows)
    lost = Rows(np.arange(70, dtype=np.int64), np.arange(70) != 5, table)
    answers = predict_rows(lost, model.signature, model.predict, task=model.task)
    page = make_page(
        a_claim(1), lost, answers, signature=model.signature, threshold=model.threshold,
        hasher=lambda keys, _source: keys, known_words=model.known_words,
    )  # fmt: skip
    values = json.loads(f"[{page.values[1:-1]}]")
    assert (page.error_rows, page.error_codes, values[5]) == ([5], ["unknown_client"], None)
    assert page.notes == f'{{"unknown_categories":{{"city":1}},"unknown_rows":{{"city":"{only_row(1, of=70)}"}}}}'
    own = model.predict(table)
    assert values[7] == own.values[7]
    if model.task is Task.MULTICLASS:
        labels = page.labels[1:-1].split(",")
        assert (len(labels), labels[5], int(labels[7])) == (70, "NULL", own.labels[7])
        scores = json.loads(f"[{page.scores[1:-1]}]")
        assert (len(scores), scores[21:24]) == (210, own.scores[7].tolist())
    else:
        assert (page.labels, page.scores) == (None, None)
    columns = decode_features(page.features)
    assert model.predict_columns(columns).values[7] == pytest.approx(own.values[7], rel=1e-12)
