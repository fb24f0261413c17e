"""Numbers and flags for categories that were some: one text is stored, however a caller writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.routes.predict import canonical_features
from shared.errors import FeaturesRefused
from shared.models.feature import FeatureKind, FeatureSpec
from shared.models.signature import Signature
from shared.uploads.cell_values import value_of_cell
from shared.uploads.feature_values import ValueRefused, value_of_json, value_of_text


def category(name: str, dtype: str, *words: str) -> FeatureSpec:
    return FeatureSpec(name, FeatureKind.CATEGORY, categories=words, dtype=dtype)


YEAR = category("year", "category[int64]", "2020", "2021", "-3")
SHARE = category("share", "category[float64]", "0.5", "2.0")
FLAG = category("flag", "category[bool]", "false", "true")
WORD = category("word", "category", "1", "2")
SIGNATURE = Signature((YEAR, SHARE, FLAG, WORD))
GOOD = {"year": 2021, "share": 2, "flag": True, "word": "1"}
TEXTS = {"year": "2021", "share": "2.0", "flag": "true", "word": "1"}


@pytest.mark.parametrize("given", [GOOD, TEXTS, {**GOOD, "year": 2021.0, "share": 2.0}, {**TEXTS, "year": 2021}])
def test_calls_in_numbers_or_texts_are_stored_alike(given: dict[str, Any]) -> None:
    """The texts of the signature, which is what a call in texts had stored before."""
    assert canonical_features(SIGNATURE, dict(given)) == canonical_features(SIGNATURE, dict(TEXTS))
    assert json.loads(canonical_features(SIGNATURE, dict(given))) == TEXTS


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("year", 1999, "year must be one of '2020', '2021', '-3'; got '1999'"),
        ("year", 2021.5, "got '2021.5'"),
        ("year", True, "year must be a string"),
        ("year", 10**19, "got '10000000000000000000'"),
        ("share", 1, "got '1'"),
        ("flag", 1, "flag must be a string"),
        ("word", 1, "word must be a string"),
    ],
)
def test_what_is_no_category_is_refused_as_before(name: str, value: Any, words: str) -> None:
    """A number for categories of texts, too: 007 and 7 are two of those."""
    with pytest.raises(FeaturesRefused) as refused:
        canonical_features(SIGNATURE, {**GOOD, name: value})
    (problem,) = refused.value.problems
    assert (problem.name, words in problem.detail) == (name, True), problem.detail


def test_uploads_read_them_alike() -> None:
    """Members of objects, and cells with a type of their own; fields of CSV are texts already."""
    for value in (2021, 2021.0, "2021"):
        assert value_of_json(YEAR, value) == value_of_cell(YEAR, value) == "2021"
    assert value_of_text(YEAR, "2021") == "2021"
    assert value_of_json(FLAG, value=True) == value_of_cell(FLAG, True) == "true"
    assert value_of_json(SHARE, 0.5) == value_of_cell(SHARE, 0.5) == "0.5"
    for spec, value in ((WORD, 1), (FLAG, 1), (YEAR, True)):
        with pytest.raises(ValueRefused, match="a string"):
            value_of_json(spec, value)
