"""Graphs in ONNX: their classes and gaps, and what each of their inputs takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model.errors import ModelRefused
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from tests.unit.models.test_models_of_others import (
    FULL,
    LABELS,
    ROWS,
    THREE,
    Column,
    people,
    registered,
    table_of,
)
from worker.models.check import check_model
from worker.models.loaded_model import load_model

pytestmark = pytest.mark.filterwarnings("ignore")

MATRIX = FULL.to_numpy(np.float32)
PLAIN = Signature(tuple(FeatureSpec(name, FeatureKind.NUMBER) for name in FULL.columns))
PEOPLE = people(5).fillna({"pay": 1.0, "kids": 1.0})


def onnx_of(estimator: Any, inputs: list[tuple[str, str, int]], **options: Any) -> bytes:
    """The graph of an estimator; `inputs` are names, types and widths."""
    convert = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    types = pytest.importorskip("skl2onnx.common.data_types")
    initial = [(name, getattr(types, f"{kind}TensorType")([None, width])) for name, kind, width in inputs]
    chosen = {id(estimator): options} if options else None
    return bytes(convert.convert_sklearn(estimator, initial_types=initial, options=chosen).SerializeToString())


@pytest.mark.parametrize("labels", [np.digitize(MATRIX[:, 0], [30, 50]) + 1, THREE, LABELS * 4 + 3])
def test_classes_that_the_graph_does_not_name_are_those_of_its_labels(labels: Any) -> None:
    """Without ZipMap it has bare columns: 1, 2, 3 are no 0, 1, 2, and texts are told as well."""
    own = RandomForestClassifier(10, max_depth=4, random_state=0).fit(MATRIX, labels)
    content = onnx_of(own, [("X", "Float", 3)], zipmap=False)
    binary = len(own.classes_) == 2
    artefact = registered(content, signature=PLAIN, positive=str(own.classes_[1]) if binary else None)
    assert artefact.metadata.classes == tuple(own.classes_.tolist())
    model = load_model(artefact, 1)
    report = check_model(model, table_of(model.signature, PEOPLE))
    assert (report.is_equal, "labels" in report.first_errors) == (True, False)
    right = own.predict_proba(PEOPLE[list(FULL.columns)].to_numpy(np.float32))
    found = model.predict(table_of(model.signature, PEOPLE))
    np.testing.assert_allclose(found.values if binary else found.scores, right[:, 1] if binary else right, atol=1e-6)


def test_another_label_than_predict_gives_is_a_difference() -> None:
    """Classes that are mixed up show in nothing else: every probability is right."""
    own = RandomForestClassifier(10, max_depth=4, random_state=0).fit(FULL, np.digitize(FULL.age, [30, 50]) + 1)
    model = load_model(registered(own), 1)
    table = table_of(model.signature, PEOPLE)
    assert check_model(model, table).is_equal
    metadata = replace(model.artefact.metadata, classes=(0, 1, 2))
    report = check_model(replace(model, artefact=replace(model.artefact, metadata=metadata)), table)
    assert report.differences["the estimator's predict"].endswith("rows get another label")
    assert not report.is_equal


def test_a_threshold_that_was_chosen_makes_no_difference() -> None:
    """Its labels are meant to be others; that they are is said."""
    model = load_model(registered(LogisticRegression(max_iter=500).fit(FULL, LABELS), threshold=0.9), 1)
    report = check_model(model, table_of(model.signature, PEOPLE))
    assert report.is_equal
    assert "not what the estimator's predict gives" in report.first_errors["labels"]


def test_a_given_signature_gets_the_type_of_the_matrix() -> None:
    """As the refusal advises: names and kinds, no dtype."""
    own = LogisticRegression(max_iter=500).fit(MATRIX, LABELS)
    said = Signature.from_json({"features": [{"name": name, "kind": "number"} for name in FULL.columns]})
    model = load_model(registered(onnx_of(own, [("X", "Float", 3)]), signature=said), 1)
    assert [spec.dtype for spec in model.signature.features] == ["float32"] * 3
    assert check_model(model, table_of(model.signature, PEOPLE)).is_equal


CODES = pd.DataFrame(
    {
        "kids": np.arange(ROWS) % 4,
        "zip": pd.Series(["75001", "13002"] * (ROWS // 2), dtype=object),
        "over": np.arange(ROWS) % 3 == 0,
    }
)
INPUTS = [("kids", "Int64", 1), ("zip", "String", 1), ("over", "Boolean", 1)]


def codes_model() -> bytes:
    """A graph of three inputs, none of them of floating-point numbers."""
    steps = ColumnTransformer(
        [
            ("k", OneHotEncoder(handle_unknown="ignore"), ["kids"]),
            ("z", OneHotEncoder(handle_unknown="ignore"), ["zip"]),
        ],
        remainder="passthrough",
    )
    labels = ((CODES.kids > 1) ^ (CODES.zip == "75001")).astype(int)
    return onnx_of(make_pipeline(steps, LogisticRegression()).fit(CODES, labels), INPUTS)


def test_a_gap_is_no_value_of_an_input_that_has_no_word_for_it() -> None:
    """Not the least whole number, not true, not the word nan: such a row is missing a value."""
    columns = [Column("kids", "integer"), Column("zip", "integer"), Column("over", "boolean")]
    artefact = registered(codes_model(), columns=columns)
    features = artefact.metadata.signature.features
    assert [(spec.kind, spec.nullable) for spec in features] == [
        (FeatureKind.INTEGER, False), (FeatureKind.CATEGORY, False), (FeatureKind.BOOLEAN, False),
    ]  # fmt: skip
    model = load_model(artefact, 1)
    full = table_of(model.signature, CODES)
    assert check_model(model, full).is_equal
    gaps = CODES.astype(object)
    for place, name in enumerate(CODES.columns):
        gaps.loc[place, name] = None
    report = check_model(model, table_of(model.signature, gaps))
    assert (report.errors, report.answered) == ({"missing_feature": 3}, ROWS - 3)


def test_the_types_of_a_graph_are_the_kinds_where_there_is_no_source() -> None:
    """And it is said what nobody can know: which words it has learnt."""
    artefact = registered(codes_model(), columns=None)
    kinds = [spec.kind for spec in artefact.metadata.signature.features]
    assert kinds == [FeatureKind.INTEGER, FeatureKind.CATEGORY, FeatureKind.BOOLEAN]
    assert any("unknown ones are not counted (zip)" in finding for finding in artefact.metadata.findings)


def test_a_number_for_an_input_of_texts_is_refused() -> None:
    """Words, and no text that looks like a number of floating point."""
    wrong = Signature(
        (
            FeatureSpec("kids", FeatureKind.CATEGORY),
            FeatureSpec("zip", FeatureKind.CATEGORY),
            FeatureSpec("over", FeatureKind.BOOLEAN),
        )
    )
    with pytest.raises(ModelRefused, match=r"cannot score a row of this signature .*kids category"):
        registered(codes_model(), signature=wrong, columns=None)
    fractions = Signature((FeatureSpec("kids", FeatureKind.NUMBER),))
    columns = [Column("kids", "double precision"), Column("zip", "text"), Column("over", "boolean")]
    found = registered(codes_model(), signature=fractions, columns=columns).metadata.signature.features[0]
    assert found.kind is FeatureKind.INTEGER
