"""Boosters and ONNX, where their libraries are installed: the same answers, or words."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.errors import ArtefactIncompatible, ModelRefused
from model.formats import JOBLIB, ONNX, format_of
from model.graphs.onnx_model import OnnxModel
from model.signature.said import with_kinds_of_columns
from shared.models.signature import FeatureKind, FeatureSpec, Signature, SignatureRefused
from tests.unit.models.test_models_of_others import (
    COLUMNS,
    FRAME,
    FULL,
    LABELS,
    NUMBERS,
    PULL,
    WORDS,
    Column,
    dumped,
    people,
    registered,
    table_of,
)
from worker.closed.work import prepare_file
from worker.models.check import check_model
from worker.models.loaded_model import load_model

pytestmark = pytest.mark.filterwarnings("ignore")


def with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Words as pandas category, flags as numbers: what boosters are trained on."""
    lists = {name: sorted(FRAME[name].dropna().unique(), reverse=True) for name in WORDS}
    changed = {name: pd.Categorical(frame[name], categories=words) for name, words in lists.items()}
    return frame[[*NUMBERS, "over", *WORDS]].assign(over=frame.over.astype(float), **changed)


def assert_served(estimator: Any, own: Any) -> None:
    """`own` maps rows as the training had them to what the estimator says."""
    model = load_model(registered(estimator), 1)
    rows = people(5)
    assert check_model(model, table_of(model.signature, rows)).is_equal
    answer = model.predict(table_of(model.signature, rows))
    np.testing.assert_allclose(answer.values if answer.scores is None else answer.scores, own(with_categories(rows)))


def lightgbm(kind: str, **more: Any) -> Any:
    library = pytest.importorskip("lightgbm")
    return getattr(library, kind)(n_estimators=8, min_child_samples=5, verbose=-1, n_jobs=1, **more)


def xgboost(kind: str, **more: Any) -> Any:
    library = pytest.importorskip("xgboost")
    return getattr(library, kind)(n_estimators=8, enable_categorical=True, n_jobs=1, **more)


@pytest.mark.parametrize("make", [lightgbm, xgboost])
def test_boosters_get_their_categories_as_they_were_trained(make: Any) -> None:
    """The list of words comes from the file, in its order; flags and gaps are numbers."""
    prefix = "LGBM" if make is lightgbm else "XGB"
    trained = with_categories(FRAME)
    binary = make(f"{prefix}Classifier").fit(trained, LABELS)
    assert_served(binary, lambda rows: binary.predict_proba(rows)[:, 1])
    words = registered(binary).metadata.signature.features[4]
    assert (words.dtype, words.categories) == ("category", tuple(trained.dept.cat.categories))
    many = make(f"{prefix}Classifier").fit(trained, np.digitize(PULL, [-0.5, 0.5]))
    assert_served(many, many.predict_proba)
    value = make(f"{prefix}Regressor").fit(trained, PULL)
    assert_served(value, value.predict)


def test_words_that_xgboost_garbles_are_not_taken_for_its_categories() -> None:
    """Some of its releases cut the list by letters where UTF-8 has more bytes: every row would be an unknown word."""
    words = ["Nord", "Rhône", "Île"]
    frame = pd.DataFrame({"city": pd.Categorical(np.array(words)[np.arange(len(LABELS)) % 3], categories=words)})
    model = xgboost("XGBClassifier").fit(frame, LABELS)
    said = Signature(
        (FeatureSpec("city", FeatureKind.CATEGORY, nullable=True, categories=tuple(words), dtype="category"),)
    )
    loaded = load_model(registered(model, signature=said), 1)
    answers = loaded.predict(table_of(said, frame)).values
    np.testing.assert_allclose(answers, model.predict_proba(frame)[:, 1], rtol=1e-12)
    try:
        inferred = registered(model).metadata.signature.features[0].categories
    except ModelRefused as refusal:
        assert re.search(r"categories of 'city' as they were.*--signature FILE", str(refusal))  # noqa: PT017
    else:
        assert inferred == tuple(words)


@pytest.mark.parametrize("make", [lightgbm, xgboost])
def test_whether_a_named_feature_may_be_missing_is_found_out_where_it_is_not_said(make: Any) -> None:
    """A booster takes gaps, of a flag as NaN among numbers; what is said stays, and so does a column without gaps."""
    columns = [column for column in COLUMNS if column.name in (*NUMBERS, *WORDS, "over")]
    model = make("LGBMClassifier" if make is lightgbm else "XGBClassifier").fit(with_categories(FRAME), LABELS)
    words = {name: sorted(FRAME[name].dropna().unique(), reverse=True) for name in WORDS}
    features: list[dict[str, Any]] = [{"name": NUMBERS[0], "kind": "number"}, {"name": NUMBERS[1], "kind": "integer"}]
    features += [{"name": name, "kind": "integer", "nullable": False} for name in NUMBERS[2:]]
    features += [{"name": "over", "kind": "boolean"}]
    features += [{"name": name, "kind": "category", "dtype": "category", "categories": words[name]} for name in WORDS]
    asked = {"name": "theirs", "signature": {"features": features}}
    found = {item["name"]: item for item in prepare_file(asked, dumped(model))["signature"]["features"]}
    assert {name: item["nullable"] for name, item in found.items()} == {name: name not in NUMBERS[2:] for name in found}
    assert (found[NUMBERS[1]]["dtype"], found["over"]["dtype"]) == ("float64", "float64")
    never = [asdict(Column(column.name, column.type, nullable=column.name != WORDS[0])) for column in columns]
    found = {
        item["name"]: item for item in prepare_file({**asked, "columns": never}, dumped(model))["signature"]["features"]
    }
    assert (found[WORDS[0]]["nullable"], found[WORDS[1]]["nullable"]) == (False, True)


def test_a_named_feature_whose_gap_is_not_answered_stays_as_it_was_said() -> None:
    """Also in a type that could hold a gap."""
    model = LogisticRegression().fit(FULL.to_numpy(), LABELS)
    features = [{"name": name, "kind": "integer"} for name in FULL.columns]
    features[0]["dtype"] = "float64"
    found = prepare_file({"name": "theirs", "signature": {"features": features}}, dumped(model))["signature"][
        "features"
    ]
    assert [item["nullable"] for item in found] == [False] * len(features)
    assert [item["dtype"] for item in found] == ["float64", *["int64"] * (len(features) - 1)]


def test_a_named_feature_that_says_no_kind_has_that_of_its_column() -> None:
    """A model that was fitted on numpy is served with its names alone; without a column the kind is asked for."""
    model = LogisticRegression().fit(FULL.to_numpy(), LABELS)
    said = {"features": [{"name": name} for name in FULL.columns]}
    types = dict(zip(FULL.columns, ["integer", "numeric", "timestamptz"], strict=True))
    columns = [asdict(Column(name, type_, nullable=False)) for name, type_ in types.items()]

    kinds = with_kinds_of_columns(said, [Column(**column) for column in columns])["features"]
    assert [item["kind"] for item in kinds] == ["integer", "number", "datetime"]
    assert kinds[2]["dtype"] == "datetime64[us, UTC]"

    columns[2]["type"] = "real"
    found = prepare_file({"name": "theirs", "signature": said, "columns": columns}, dumped(model))["signature"]
    assert [(item["name"], item["kind"], item["dtype"]) for item in found["features"]] == [
        (name, kind, dtype)
        for name, kind, dtype in zip(
            FULL.columns, ["integer", "number", "number"], ["int64", "float64", "float64"], strict=True
        )
    ]
    with pytest.raises(SignatureRefused, match="kind is one of"):
        prepare_file({"name": "theirs", "signature": said, "columns": columns[:2]}, dumped(model))


def test_a_raw_booster_is_refused_with_the_name_of_what_to_save() -> None:
    """It does not know what its numbers mean."""
    with pytest.raises(ArtefactIncompatible, match="raw booster: save the fitted LGBMClassifier"):
        registered(lightgbm("LGBMClassifier").fit(FULL, LABELS).booster_)


def test_samplers_of_imbalanced_learn_do_nothing_when_it_is_asked() -> None:
    """A pipeline of that library is served like one of scikit-learn."""
    pipeline = pytest.importorskip("imblearn.pipeline")
    sampling = pytest.importorskip("imblearn.over_sampling")
    model = pipeline.make_pipeline(sampling.RandomOverSampler(random_state=0), StandardScaler(), LogisticRegression())
    model.fit(FULL, LABELS)
    loaded = load_model(registered(model), 1)
    report = check_model(loaded, table_of(loaded.signature, people(5).fillna({"pay": 1.0, "kids": 1.0})))
    assert report.is_equal


def onnx_of(estimator: Any, frame: pd.DataFrame, *, one_matrix: bool) -> bytes:
    convert = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    types = pytest.importorskip("skl2onnx.common.data_types")
    if one_matrix:
        inputs = [("X", types.FloatTensorType([None, frame.shape[1]]))]
    else:
        inputs = [(name, types.FloatTensorType([None, 1])) for name in frame.columns]
    return bytes(convert.convert_sklearn(estimator, initial_types=inputs).SerializeToString())


def test_a_graph_in_onnx_is_asked_in_its_own_type() -> None:
    """float32, said in the signature and stored so; the classes are those that the graph names."""
    own = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        FULL.to_numpy(np.float32), np.where(LABELS, "yes", "no")
    )
    content = onnx_of(own, FULL, one_matrix=True)
    assert format_of(content) == ONNX
    with pytest.raises(ModelRefused, match="what its 3 features are called"):
        registered(content)
    said = Signature(tuple(FeatureSpec(name, FeatureKind.NUMBER, dtype="float32") for name in FULL.columns))
    artefact = registered(content, signature=said)
    assert (artefact.metadata.classes, artefact.metadata.file_format) == (("no", "yes"), ONNX)
    model = load_model(artefact, 1)
    rows = people(5).fillna({"pay": 1.0, "kids": 1.0})
    table = table_of(model.signature, rows)
    assert check_model(model, table).is_equal
    right = own.predict_proba(rows[list(FULL.columns)].to_numpy(np.float32))[:, 1]
    np.testing.assert_allclose(model.predict(table).values, right, rtol=1e-4)


def test_a_regression_in_onnx_takes_its_features_by_name() -> None:
    """Where each feature is an input of its own, the signature is inferred."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import Ridge

    full = FULL.astype(np.float32)
    own = make_pipeline(ColumnTransformer([("n", StandardScaler(), list(full.columns))]), Ridge()).fit(full, PULL)
    artefact = registered(onnx_of(own, full, one_matrix=False))
    assert [spec.dtype for spec in artefact.metadata.signature.features] == ["float32"] * 3
    model = load_model(artefact, 1)
    rows = people(5).fillna({"pay": 1.0, "kids": 1.0})
    answers = model.predict(table_of(model.signature, rows)).values
    np.testing.assert_allclose(answers, own.predict(rows[list(full.columns)].astype(np.float32)), rtol=1e-3, atol=1e-4)


def test_without_onnxruntime_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ArtefactIncompatible, match=r"Install predictq\[onnx\]"):
        OnnxModel(b"\x08\x08\x12\x00")


def test_pickles_are_not_taken_for_graphs() -> None:
    """The forms are told apart by their first bytes."""
    assert format_of(dumped(LogisticRegression())) == JOBLIB
    assert format_of(b"") == JOBLIB


@pytest.mark.parametrize("make", [lightgbm, xgboost])
@pytest.mark.parametrize("numbers", ["int64", "int8", "float64", "bool"])
def test_boosters_get_categories_that_are_no_texts(make: Any, numbers: str) -> None:
    """Years and flags as pandas category: the columns' own texts are read, and numbers of the same type handed in."""
    if make is xgboost and numbers in ("float64", "bool"):
        pytest.skip("XGBoost refuses to be trained on such")
    sql = "boolean" if numbers == "bool" else "integer"
    values = np.arange(len(LABELS)) % (2 if numbers == "bool" else 4)
    frame = pd.DataFrame({"age": FRAME.age, "level": pd.Series(values.astype(numbers)).astype("category")})
    prefix = "LGBM" if make is lightgbm else "XGB"
    model = make(f"{prefix}Classifier").fit(frame, (values % 2) ^ (FRAME.age > 60))
    columns = [Column("age", "integer", nullable=False), Column("level", sql)]
    artefact = registered(model, columns=columns)
    level = artefact.metadata.signature.features[1]
    kind = "int64" if (make, numbers) == (lightgbm, "int8") else numbers  # it compares the numbers alone
    words = ("false", "true") if numbers == "bool" else ("0", "1", "2", "3")
    assert (level.kind, level.dtype, level.categories) == (FeatureKind.CATEGORY, f"category[{kind}]", words)
    loaded = load_model(artefact, 1)
    rows = frame.assign(level=np.array(words)[values])
    rows.loc[0, "level"] = "9"
    table = table_of(loaded.signature, rows)
    report = check_model(loaded, table)
    assert (report.is_equal, report.answered, list(report.errors)) == (True, len(LABELS) - 1, ["invalid_feature"])
    np.testing.assert_allclose(loaded.predict(table.slice(1)).values, model.predict_proba(frame)[1:, 1], rtol=1e-12)
    stored = Signature.from_json(loaded.signature.to_json())
    assert stored == loaded.signature


def test_a_category_that_is_none_of_its_type_is_a_flaw_of_the_signature() -> None:
    """Named, where it stands."""
    item = {"name": "year", "kind": "category", "dtype": "category[int64]", "categories": ["2020", "late"]}
    with pytest.raises(SignatureRefused, match=r"'year'.*category 'late', which is none"):
        Signature.from_json({"features": [item]})


def test_blanks_that_lightgbm_makes_underscores_are_found_in_the_source() -> None:
    """It is asked by position: the columns' own names are the features'."""
    frame = FULL.rename(columns={"pay": "Monthly Charges", "kids": "Kids"})
    model = lightgbm("LGBMClassifier").fit(frame, LABELS)
    columns = [
        Column("age", "integer", nullable=False),
        Column("Monthly Charges", "double precision", nullable=False),
        Column("Kids", "integer", nullable=False),
    ]
    artefact = registered(model, columns=columns)
    assert artefact.metadata.signature.names == ("age", "Monthly Charges", "Kids")
    assert not any("lacks" in finding for finding in artefact.metadata.findings)
    loaded = load_model(artefact, 1)
    table = table_of(loaded.signature, frame)
    assert check_model(loaded, table).is_equal
    np.testing.assert_allclose(loaded.predict(table).values, model.predict_proba(frame)[:, 1], rtol=1e-12)
    said = Signature((FeatureSpec("Monthly Charges", FeatureKind.NUMBER, minimum=0.0),))
    given = registered(model, columns=None, signature=said).metadata.signature
    assert (given.names[1], given.features[1].minimum) == ("Monthly Charges", 0.0)
    both = [*columns, Column("Monthly_Charges", "double precision")]
    assert registered(model, columns=both).metadata.signature.names[1] == "Monthly_Charges"


def test_lists_of_lightgbm_go_to_the_features_they_are_of() -> None:
    """Beside whole numbers that are categories, too, a list of one word is no split: as many owners, and other ones."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"code": random.integers(0, 10, 400)})
    frame["zip"] = pd.Categorical(random.choice(["b", "a", "c"], 400), categories=["b", "a", "c"])
    frame["only"] = pd.Categorical(["word"] * 400)
    labels = np.where((frame.code % 3 == 0) ^ (frame.zip == "a"), "yes", "no")
    model = lightgbm("LGBMClassifier").fit(frame, labels, categorical_feature=["code", "zip", "only"])
    columns = [Column("code", "integer", nullable=False), Column("zip", "text"), Column("only", "text")]
    loaded = load_model(registered(model, columns=columns), 1)
    lists = {spec.name: spec.categories for spec in loaded.signature.features}
    assert lists == {"code": (), "zip": ("b", "a", "c"), "only": ("word",)}
    table = table_of(loaded.signature, frame)
    np.testing.assert_allclose(loaded.predict(table).values, model.predict_proba(frame)[:, 1])
    with pytest.raises(ModelRefused, match=r"does not say whose they are.*--signature FILE"):
        registered(model, columns=[*columns[:2], Column("only", "integer")])
