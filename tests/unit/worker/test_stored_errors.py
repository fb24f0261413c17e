"""Errors of rows are stored beside answers, for people who may not see features: no value stands in them."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine

from model.artefact import build_artefact
from shared.errors import FilterRefused
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from tests.models import TestModel
from tests.unit.worker.test_small import rows_with
from worker.errands.runner import ErrandRunner
from worker.models.model_store import load_model
from worker.scoring.isolation import _call_in_fork
from worker.scoring.prediction import predict_rows
from worker.scoring.row_checks import find_errors

PLANTED = "planted-3141"
OF_WORDS = Signature((FeatureSpec("department", FeatureKind.CATEGORY),))


class Quotes(TestModel):
    """Answers with its features, or raises with them in its text."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.raises = raises

    def predict_proba(self, features: pd.DataFrame) -> Any:
        """Texts in the place of numbers: numpy quotes the first."""
        if self.raises:
            raise ValueError(f"never heard of {list(features['department'])}")
        return np.array([[word, word] for word in features["department"].astype(object)])


def test_a_value_of_the_source_is_not_quoted() -> None:
    """Neither a number out of its range nor a word that the model does not know."""
    out_of_range = FeatureSpec("age", FeatureKind.INTEGER, minimum=20, maximum=40)
    of_list = FeatureSpec("department", FeatureKind.CATEGORY, categories=("Sales",))
    table = pa.table({"age": [73, 19, 30], "department": ["Sales", "Sales", PLANTED]})
    errors = find_errors(rows_with(table), Signature((out_of_range, of_list)))
    assert {row: error.detail for row, error in errors.items()} == {
        0: "age must be at most 40",
        1: "age must be at least 20",
        2: "department must be one of 'Sales'",
    }


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        (True, "the model raised ValueError"),
        (False, "predict_proba answered with texts and not with numbers"),
    ],
)
def test_what_a_model_says_of_its_features_is_not_told(
    raises: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the batch, and apart at the last attempt. Where it raised is logged once, without its text."""
    logged: list[dict[str, Any]] = []
    log = SimpleNamespace(warning=lambda event, **values: logged.append({"event": event, **values}))
    monkeypatch.setattr("worker.scoring.prediction.log", log)
    model = load_model(build_artefact(Quotes(raises=raises), OF_WORDS, 0.5, name="t"), version=1)
    features = pa.table({"department": [PLANTED, PLANTED]})
    answers = predict_rows(rows_with(features), OF_WORDS, model.predict)
    assert {row: error.detail for row, error in answers.errors.items()} == {0: told, 1: told}
    assert str(_call_in_fork(model, features, 10)) == told
    assert [line["event"] for line in logged] == (["model_raised"] if raises else [])


def test_what_an_errand_is_refused_for_is_told_to_its_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """She gave the value; the log has the code and the type."""
    logged: list[dict[str, Any]] = []
    log = SimpleNamespace(warning=lambda _event, **values: logged.append(values))
    monkeypatch.setattr("worker.errands.runner.log", log)

    def refuse(_arguments: dict[str, Any]) -> dict[str, Any]:
        raise FilterRefused("age", f"age is no {PLANTED}")

    engine = cast("Engine", None)
    runner = ErrandRunner(engine, {"count": refuse}, worker="w", stopped=threading.Event())
    told, failed = runner._do(cast("Any", SimpleNamespace(kind="count", arguments={}, id=1)))
    assert (told, failed) == ({"code": "filter_refused", "detail": f"age is no {PLANTED}"}, True)
    assert logged == [{"errand_id": "1", "kind": "count", "code": "filter_refused", "reason": "FilterRefused"}]
