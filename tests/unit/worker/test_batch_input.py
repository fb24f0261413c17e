"""What a model is given, and what is stored of it: converted once, and the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.csv import read_csv
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.answering import Prediction
from shared.models.feature import EXACT_INTEGER
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from tests.unit.worker.pipeline_support import loaded, rows_of, signature_of, training
from worker.models.frame import input_columns
from worker.models.loaded_model import LoadedModel
from worker.pages.encode import encode_features
from worker.scoring.batch_input import BatchInput

_NUMBERS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 2).map(lambda step: EXACT_INTEGER + step),
    st.integers(-2, 2).map(lambda step: -EXACT_INTEGER + step),
    st.integers(-100, 100),
)


@given(st.lists(_NUMBERS, max_size=40), st.booleans(), st.integers(0, 3))
def test_whole_numbers_as_doubles(numbers: list[int | None], is_single: bool, start: int) -> None:
    """Each is the double that it is; one that no double holds has no value, and what is not there is no number."""
    signature = Signature(
        (FeatureSpec("n", FeatureKind.INTEGER, nullable=True, dtype="float32" if is_single else "float64"),)
    )
    table = pa.table({"n": pa.array([7] * start + numbers, pa.int64())}).slice(start)
    (column,) = input_columns(table, signature)
    kind: Any = np.float32 if is_single else float
    expected = [
        np.nan if number is None else None if abs(number) > EXACT_INTEGER else float(kind(number)) for number in numbers
    ]
    assert list(map(repr, column.to_objects())) == list(map(repr, map(_plain, expected)))


def _plain(value: Any) -> Any:
    return value if value is None else float(value)


def model_of(*, is_compiled: bool = True) -> LoadedModel:
    frame, labels = training(3)
    numbers = frame[["age", "pay", "kids", "over"]]
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, labels)
    model = loaded(estimator, signature_of(numbers, holes=False, closed=True))
    assert model.linear is not None
    return model if is_compiled else replace(model, linear=None)


def test_a_compiled_model_and_the_page_share_a_conversion() -> None:
    """The columns that are kept are those of the rows, also of one claim of several; the answers are the model's."""
    model = model_of()
    table = rows_of(model, 1, rows=50)
    kept = BatchInput(table, model)
    assert kept.predict(table).values.tolist() == model.predict(table).values.tolist()
    assert kept.columns is not None
    for first, last in ((0, 50), (0, 13), (13, 50), (49, 50)):
        page = encode_features([column.part(first, last) for column in kept.columns], last - first)
        own = input_columns(table.slice(first, last - first), model.signature)
        assert page == encode_features(own, last - first)


def test_what_an_estimator_was_given_is_not_kept() -> None:
    """It may have changed it; and of a part of the rows, or of rows that the sum is not made for, nothing is kept."""
    model = model_of(is_compiled=False)
    table = rows_of(model, 2)
    by_itself = BatchInput(table, model)
    assert len(by_itself.predict(table)) == 60
    assert by_itself.columns is None
    compiled = BatchInput(table, model_of())
    assert len(compiled.predict(table.slice(0, 7))) == 7
    assert compiled.columns is None
    huge = table.set_column(1, "pay", pa.array([1e200] * 60))
    asked = BatchInput(huge, model_of())
    assert isinstance(asked.predict(huge), Prediction)
    assert asked.columns is None


def _by_array(frame: pd.DataFrame) -> None:
    for column in frame.columns:
        np.asarray(frame[column].array)[:] = 0


def _by_place(frame: pd.DataFrame) -> None:
    frame.loc[0, "pay"] = -7.0


def _by_scaler(frame: pd.DataFrame) -> None:
    pay = frame[["pay"]]
    StandardScaler(copy=False).fit(pay + 0.0).transform(pay)


@pytest.mark.parametrize("spoil", [_by_array, _by_place, _by_scaler])
def test_an_estimator_that_changes_its_input_changes_no_page(spoil: Callable[[pd.DataFrame], None]) -> None:
    """What is stored is what was read, whatever the estimator does in the memory that it is given."""

    def answer(frame: pd.DataFrame) -> Prediction:
        spoil(frame)
        return Prediction(np.zeros(len(frame)))

    text = rows_of(model_of(), 4).to_pandas().to_csv(index=False).encode()
    table = read_csv(pa.py_buffer(text)).combine_chunks()  # as a source is read: memory that may be written to
    model = replace(model_of(is_compiled=False), asking=answer)
    before = encode_features(input_columns(table, model.signature), 60)
    asked = BatchInput(table, model)
    asked.predict(table)
    assert asked.columns is None
    assert encode_features(input_columns(table, model.signature), 60) == before
