"""Signatures: read strictly, stored and read back, one dtype each; the digest of a version."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.feature import DTYPES, default_dtype
from shared.models.signature import (
    FeatureKind,
    FeatureSpec,
    Signature,
    SignatureRefused,
    check_value,
    missing_columns,
)
from shared.models.signature_reading import read_signature_text
from shared.models.task import Task
from shared.models.version_digest import version_digest

SPEC = Signature(
    (
        FeatureSpec("age", FeatureKind.INTEGER, minimum=14, maximum=1e16),
        FeatureSpec("pay", FeatureKind.NUMBER, nullable=True, minimum=0.1),
        FeatureSpec("city", FeatureKind.CATEGORY, nullable=True, missing="none"),
        FeatureSpec("grade", FeatureKind.CATEGORY, categories=("b", "a"), dtype="category"),
    )
)
AGE = {"name": "age", "kind": "integer"}


def refused(*features: Any, **more: Any) -> str:
    """What is said of a signature that is refused."""
    with pytest.raises(SignatureRefused) as caught:
        Signature.from_json({"features": list(features), **more})
    return str(caught.value)


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ({"name": "", "kind": "integer"}, "name is empty"),
        ({"name": 0, "kind": "integer"}, "name is a string; got 0"),
        ({"kind": "integer"}, "name is a string; got None"),
        ({"name": "a\x00", "kind": "integer"}, "control character"),
        ({"name": "a\nb", "kind": "integer"}, "control character"),
        ({"name": "\ud800", "kind": "integer"}, "control character"),
        ({"name": "x" * 201, "kind": "integer"}, "201 characters, 200 is the most"),
        ({**AGE, "nulable": True}, "unknown key 'nulable': did you mean 'nullable'?"),
        ({**AGE, "nullable": "no"}, "nullable is true or false; got 'no'"),
        ({**AGE, "kind": "int"}, "kind is one of integer, number, boolean, category, datetime; got 'int'"),
        ({**AGE, "kind": ["integer"]}, "kind is one of"),
        ({**AGE, "minimum": "0"}, "minimum is a number; got '0'"),
        ({**AGE, "minimum": True}, "minimum is a number; got True"),
        ({**AGE, "minimum": float("nan")}, "minimum is a finite number; got nan"),
        ({**AGE, "maximum": float("inf")}, "maximum is a finite number; got inf"),
        ({**AGE, "minimum": 10, "maximum": 1}, "minimum 10 is above maximum 1"),
        ({**AGE, "categories": ["a"]}, "categories are for kind category"),
        ({"name": "c", "kind": "category", "categories": "abc"}, "categories is a list of strings; got 'abc'"),
        ({"name": "c", "kind": "category", "categories": [1, 2]}, "categories is a list of strings"),
        ({"name": "c", "kind": "category", "categories": ["a", "a"]}, "a word twice"),
        ({"name": "c", "kind": "category", "categories": ["a\x00"]}, "NUL"),
        ({"name": "c", "kind": "category", "minimum": 1}, "minimum is for numbers"),
        ({"name": "c", "kind": "category", "dtype": "category"}, "dtype category needs its categories"),
        ({**AGE, "dtype": "Int64"}, "dtype of kind integer is one of int64, float64, float32; got 'Int64'"),
        ({**AGE, "dtype": "int64", "nullable": True}, "dtype int64 cannot hold a missing value"),
        ({**AGE, "missing": "none"}, "missing none is for dtype object"),
        ({**AGE, "missing": "null"}, "missing is one of nan, none"),
        ({**AGE, "title": 5}, "title is a string"),
        ({**AGE, "description": "\x1b[31m"}, "description has a control character"),
        ("age", "must be an object"),
    ],
)
def test_each_flaw_of_a_signature_has_its_line(feature: Any, words: str) -> None:
    """What people write by mistake is refused with the feature's place and what is wrong."""
    said = refused(AGE | {"name": "first"}, feature)
    assert words in said
    assert "feature 2" in said
    assert len(said.splitlines()) == 1


def test_all_flaws_are_told_at_once() -> None:
    """One line each, at most twenty, and how many more."""
    said = refused(AGE, AGE, {"name": "b", "kind": "x"}, version=2)
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "unknown key 'version' beside 'features'", "feature 2 ('age')", "feature 3 ('b')",
    ]  # fmt: skip
    many = refused(*({"name": f"n{number}", "kind": "?"} for number in range(30)))
    assert (len(many.splitlines()), many.splitlines()[-1]) == (21, "… and 10 more")


@pytest.mark.parametrize("data", [None, [], "x", {}, {"features": {}}, {"features": None}])
def test_what_is_no_signature_is_shown_one(data: Any) -> None:
    """The refusal has an example."""
    with pytest.raises(SignatureRefused, match="a signature looks like"):
        Signature.from_json(data)


def test_a_signature_without_features_is_refused() -> None:
    """A model of nothing cannot be meant."""
    assert refused() == "it has no features"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"features": [', "is not JSON"),
        ('{"features": [], "features": []}', "'features' comes twice"),
        ('{"features": [{"name": "a", "name": "b"}]}', "'name' comes twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_signature_file_is_one_json_document_without_doubles(text: str, words: str) -> None:
    """Of two values under one key neither is meant for sure."""
    with pytest.raises(SignatureRefused, match=words):
        read_signature_text(text)


def test_a_signature_comes_back_as_it_was_stored() -> None:
    """Through JSON and through jsonb, which writes 1e16 as a whole number."""
    assert Signature.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC
    as_jsonb = json.loads(json.dumps(SPEC.to_json()).replace("1e+16", "10000000000000000"))
    assert Signature.from_json(as_jsonb) == SPEC
    assert version_digest(sha256="a", threshold=1.0, signature=Signature.from_json(as_jsonb)) == version_digest(
        sha256="a", threshold=1, signature=SPEC
    )


def test_a_signature_of_before_dtypes_reads_on() -> None:
    """Name and kind are enough; a dtype that is not said follows from kind and nullability."""
    found = Signature.from_json({"features": [AGE, {**AGE, "name": "kids", "nullable": True, "minimum": None}]})
    assert [spec.dtype for spec in found.features] == ["int64", "float64"]


@given(st.sampled_from(list(FeatureKind)), st.booleans())
def test_the_dtype_follows_from_kind_and_nullability(kind: FeatureKind, nullable: bool) -> None:
    """One of the kind's own, and one that can hold a gap where there may be one."""
    dtype = FeatureSpec("x", kind, nullable=nullable).dtype
    assert dtype == default_dtype(kind, nullable=nullable)
    assert dtype in DTYPES[kind]
    assert not (nullable and dtype in ("int64", "bool"))


def test_a_spec_that_cannot_hold_its_gaps_is_not_made() -> None:
    """Changing nullability keeps no dtype that does not fit."""
    with pytest.raises(ValueError, match="cannot hold a missing value"):
        replace(FeatureSpec("x", FeatureKind.INTEGER), nullable=True)
    assert replace(FeatureSpec("x", FeatureKind.INTEGER), nullable=True, dtype="").dtype == "float64"


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        (FeatureSpec("n", FeatureKind.INTEGER), [2**63 - 1, -(2**63), 3.0], [2**63, 3.5, 1e19, "3", True]),
        (FeatureSpec("n", FeatureKind.INTEGER, nullable=True), [2**53, -(2**53), None], [2**53 + 1, -(2**53) - 1]),
        (FeatureSpec("f", FeatureKind.NUMBER, dtype="float32"), [3.4e38, 1], [3.5e38, math.inf, math.nan]),
        (FeatureSpec("t", FeatureKind.DATETIME), ["2026-11-26", "2026-11-26T10:00:00.5", "2026-11-26T10:00:00.1234560"],
         ["now", "2026-11-26T10:00Z", "2026-11-26T10:00:00.1234567"]),
        (
            FeatureSpec("t", FeatureKind.DATETIME, dtype="datetime64[us, UTC]"),
            ["2026-11-26T10:00Z", "2026-11-26T10:00:00+02:00"],
            ["2026-11-26T10:00", "2026-13-26T10:00Z", "2026-11-26T10:00:00,00000001Z"],
        ),
    ],
)  # fmt: skip
def test_values_are_checked_for_what_the_estimator_can_be_given(
    spec: FeatureSpec, good: list[Any], bad: list[Any]
) -> None:
    """What the dtype cannot carry exactly is an error of its row."""
    assert [value for value in good if check_value(spec, value)] == []
    assert [value for value in bad if not check_value(spec, value)] == []


def test_no_feature_name_makes_a_formula_of_an_error() -> None:
    """A detail never begins with what a spreadsheet would run."""
    for name in ("=HYPERLINK(1)", "+1", "-1", "@x", "\u00a0", "1"):
        problem = check_value(FeatureSpec(name, FeatureKind.NUMBER), None)
        assert problem is not None
        assert problem.detail.startswith("'")


def test_features_that_a_source_lacks_are_named_in_order() -> None:
    """What promotion refuses: a version none of whose rows could be scored."""
    assert missing_columns(SPEC, ["pay", "client_id", "Age"]) == ("age", "city", "grade")
    assert missing_columns(SPEC, SPEC.names) == ()


def test_a_digest_covers_all_that_makes_an_answer() -> None:
    """Another file, signature, class, threshold, source, task, code or requirement is another version."""
    given: dict[str, Any] = {"sha256": "a" * 64, "signature": SPEC, "threshold": 0.5, "classes": ["no", "yes"]}
    changes: list[dict[str, Any]] = [
        {"sha256": "b" * 64},
        {"signature": Signature(SPEC.features[:-1])},
        {"signature": Signature(SPEC.features[::-1])},
        {"threshold": math.nextafter(0.5, 1)},
        {"threshold": None},
        {"classes": ["yes", "no"]},
        {"classes": [0, 1]},
        {"classes": [False, True]},
        {"source_id": 1},
        {"task": Task.REGRESSION},
        {"requirements": "xgboost"},
        {"file_format": "skops"},
        {"code_sha256": "c" * 64},
    ]
    digests = {version_digest(**{**given, **change}) for change in changes}
    assert len(digests | {version_digest(**given)}) == len(changes) + 1
