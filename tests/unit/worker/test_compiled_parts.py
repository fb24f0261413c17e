"""Compiled forms by themselves: which rows they leave to the estimator, and which pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.pages.layout import Dtype
from tests.page_columns import NAN, NONE, column_of
from tests.unit.worker.pipeline_support import loaded, signature_of, training
from worker.models import loaded_model
from worker.models.linear.compile import compile_linear
from worker.models.linear.compiled import LinearModel, Term
from worker.models.matrix import MatrixModel, NoMatrix, compile_matrix

NUMBERS, WORDS = ["age", "pay", "kids", "over"], ["dept", "city"]


def linear_pipeline() -> tuple[Pipeline, Signature]:
    """Of two numbers."""
    frame, labels = training(0)
    pipeline = make_pipeline(
        ColumnTransformer([("s", StandardScaler(), ["age"]), ("p", "passthrough", ["pay"])]),
        LogisticRegression(max_iter=500),
    )
    return pipeline.fit(frame[["age", "pay"]], labels), signature_of(frame[["age", "pay"]], holes=False, closed=False)


@pytest.mark.parametrize("value", [1e150, -1e150, np.inf, -np.inf, np.nan])
def test_a_number_near_the_end_of_the_doubles_is_left_to_the_estimator(value: float) -> None:
    """Alone: the rows beside it have their answers, and so has a number just below."""
    model = LinearModel(0.5, {0: [Term(0, scale=1e-160)], 1: [Term(1)]}, {})
    columns = [column_of(Dtype.FLOAT64, [1.0, value, 9e149]), column_of(Dtype.FLOAT64, [2.0, 2.0, 2.0])]
    assert np.isnan(model.logits(columns)).tolist() == [False, True, False]


def test_the_other_class_has_the_opposite_log_odds() -> None:
    """Whichever of the two is the positive one."""
    pipeline, signature = linear_pipeline()
    columns = [column_of(Dtype.INT64, [20, 50]), column_of(Dtype.FLOAT64, [1.0, 9.0])]
    one, other = (compile_linear(pipeline, signature, column).logits(columns) for column in (1, 0))
    np.testing.assert_allclose(one, -other)
    assert (one != 0).all()


def test_columns_that_are_passed_through_by_name_are_in_the_sum() -> None:
    """As scikit-learn left them before it put a transformer into that place."""
    pipeline, signature = linear_pipeline()
    columns = [column_of(Dtype.INT64, [20, 50]), column_of(Dtype.FLOAT64, [1.0, 9.0])]
    expected = compile_linear(pipeline, signature, 1).logits(columns)
    scaled, (name, _, chosen) = pipeline[0].transformers_
    pipeline[0].transformers_ = [scaled, (name, "passthrough", chosen)]
    assert compile_linear(pipeline, signature, 1).logits(columns).tolist() == expected.tolist()


def test_right_log_odds_do_not_excuse_wrong_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison at loading is of both."""

    class Wrong(LinearModel):
        def probabilities(self, columns: Any) -> Any:
            found = super().probabilities(columns)
            return None if found is None else found * 0.99

    def wrong(*arguments: Any) -> LinearModel:
        model = compile_linear(*arguments)
        model.__class__ = Wrong
        return model

    pipeline, signature = linear_pipeline()
    assert loaded(pipeline, signature).linear is not None
    monkeypatch.setattr(loaded_model, "compile_linear", wrong)
    assert loaded(pipeline, signature).linear is None


def tree_of(numbers: Any, words: Any = WORDS, encoder: Any = None) -> Pipeline:
    """A tree over numbers that are passed through and words that are numbered, whichever way they are chosen."""
    encoder = encoder or OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    parts = [("n", "passthrough", numbers), ("w", encoder, words)]
    return make_pipeline(ColumnTransformer(parts), DecisionTreeClassifier(max_depth=4))


def matrix_of(pipeline: Pipeline, *, order: Any = None, fitted_in: Any = None) -> MatrixModel:
    """Compiled, of a signature in this order after a fit in another."""
    frame, labels = training(0)
    frame = frame[fitted_in or list(frame.columns)]
    signature = signature_of(frame, holes=False, closed=False, order=order)
    return compile_matrix(loaded(pipeline.fit(frame, labels), signature).asking, signature)


def test_words_that_the_encoder_does_not_know_and_gaps_have_their_numbers() -> None:
    """So nobody asks the estimator for these rows; where its encoder refuses such words, it is asked."""
    columns = [
        column_of(Dtype.INT64, [1, 2, 3]),
        column_of(Dtype.FLOAT64, [0.5, 1.5, NAN]),
        column_of(Dtype.INT64, [1, 2, 3]),
        column_of(Dtype.BOOL, [True, False, True]),
        column_of(Dtype.TEXT, ["Sales", "never seen", NAN]),
        column_of(Dtype.TEXT, ["A", "A", "A"]),
    ]
    matrix, known = matrix_of(tree_of(NUMBERS)).fill(columns)
    assert known is None or known.all()
    assert matrix[:, 4].tolist() == [2.0, -1.0, -1.0]
    closed = matrix_of(tree_of(NUMBERS, encoder=OrdinalEncoder()))
    found = closed.fill(columns)[1]
    assert found is not None
    assert found.tolist() == [True, False, False]
    assert closed.predict(columns) is None


def test_a_gap_that_an_encoder_has_met_in_one_feature_alone_has_its_number() -> None:
    """The other features of the encoder have none, and refuse one."""
    frame, labels = training(0)
    frame.loc[::7, "dept"] = np.nan
    pipeline = tree_of(NUMBERS, encoder=OrdinalEncoder(encoded_missing_value=-2)).fit(frame, labels)
    signature = signature_of(frame, holes=False, closed=False)
    model = compile_matrix(loaded(pipeline, signature).asking, signature)
    columns = [
        column_of(Dtype.INT64, [1, 2]),
        column_of(Dtype.FLOAT64, [0.5, 1.5]),
        column_of(Dtype.INT64, [1, 2]),
        column_of(Dtype.BOOL, [True, False]),
        column_of(Dtype.TEXT, ["Sales", NAN]),
        column_of(Dtype.TEXT, ["A", "A"]),
    ]
    matrix, known = model.fill(columns)
    assert known is not None
    assert (matrix[:, 4].tolist(), known.tolist()) == ([2.0, -2.0], [True, True])
    columns[5] = column_of(Dtype.TEXT, ["A", NAN])
    known = model.fill(columns)[1]
    assert known is not None
    assert known.tolist() == [True, False]


def test_a_gap_in_a_whole_number_or_a_flag_is_left_to_the_estimator() -> None:
    """In any of these columns; one in a number with a fraction is NaN here as there."""
    columns = [
        column_of(Dtype.INT64, [1, NONE, 3, 4, 5]),
        column_of(Dtype.FLOAT64, [0.5, 1.5, NAN, NONE, 2.5]),
        column_of(Dtype.INT64, [1, 2, 3, NONE, 5]),
        column_of(Dtype.BOOL, [True, False, True, True, NONE]),
        column_of(Dtype.TEXT, ["Sales"] * 5),
        column_of(Dtype.TEXT, ["A"] * 5),
    ]
    matrix, known = matrix_of(tree_of(NUMBERS)).fill(columns)
    assert known is not None
    assert known.tolist() == [True, False, True, False, False]
    np.testing.assert_array_equal(matrix[known][:, :4], [[1, 0.5, 1, 1], [3, np.nan, 3, 1]])


@pytest.mark.parametrize("numbers", [slice(0, 4), [True, True, True, True, False, False], slice("age", "over")])
def test_columns_chosen_by_a_slice_or_a_mask_get_frames(numbers: Any) -> None:
    """Names and places alone are known here."""
    with pytest.raises(NoMatrix, match="another way than by name"):
        matrix_of(tree_of(numbers))


def test_columns_chosen_by_place_are_those_of_the_fit() -> None:
    """Where the signature has another order, whichever of the two comes first, frames decide."""
    one = [*NUMBERS, *WORDS]
    other = ["pay", "age", *one[2:]]
    for order in (one, other):
        matrix_of(tree_of([0, 1, 2, 3], [4, 5]), order=order, fitted_in=order)
    for order, fitted_in in ((one, other), (other, one)):
        with pytest.raises(NoMatrix, match="another way than by name"):
            matrix_of(tree_of([0, 1, 2, 3], [4, 5]), order=order, fitted_in=fitted_in)


def test_words_of_another_type_than_object_get_frames() -> None:
    """The encoder meets categories then, and may answer otherwise."""
    frame, labels = training(0)
    signature = signature_of(frame, holes=False, closed=True)
    pipeline = tree_of(NUMBERS).fit(frame, labels)
    compile_matrix(loaded(pipeline, signature).asking, signature)
    as_categories = Signature(
        tuple(
            FeatureSpec(spec.name, spec.kind, categories=spec.categories, dtype="category")
            if spec.kind is FeatureKind.CATEGORY
            else spec
            for spec in signature.features
        )
    )
    with pytest.raises(NoMatrix, match="no words are numbered"):
        compile_matrix(loaded(pipeline, as_categories).asking, as_categories)
