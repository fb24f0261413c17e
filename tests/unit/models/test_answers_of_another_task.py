"""Answers that are none of their task: probabilities of several labels a row or of no class, texts for numbers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.errors import ModelRefused
from shared.status import RowError
from tests.models import Odd, ProbabilitiesAlone, Says, SeveralLabels
from tests.unit.models.test_models_of_others import FRAME, FULL, LABELS, LR, THREE, people, registered, table_of
from worker.models.check import check_model
from worker.models.loaded_model import LoadedModel, load_model
from worker.scoring.answers import Answers
from worker.scoring.feature_reader import Rows
from worker.scoring.prediction import predict_rows

pytestmark = pytest.mark.filterwarnings("ignore")

PEOPLE = people(5).fillna({"pay": 1.0, "kids": 1.0})
OLD = (FRAME.age > 40).to_numpy().astype(int)


def several_of_xgboost(count: int) -> Any:
    """`count` labels a row, of which its classes_ tell nothing: they are 0 and 1."""
    library = pytest.importorskip("xgboost")
    labels = np.column_stack([LABELS, OLD, 1 - LABELS][:count])
    return library.XGBClassifier(n_estimators=5, n_jobs=1).fit(FULL, labels)


def several_of_catboost(count: int) -> Any:
    """The same of CatBoost, where it is."""
    library = pytest.importorskip("catboost")
    labels = np.column_stack([LABELS, OLD, 1 - LABELS][:count])
    model = library.CatBoostClassifier(
        iterations=5, verbose=0, allow_writing_files=False, loss_function="MultiLogloss", thread_count=1
    )
    return model.fit(FULL, labels)


@pytest.mark.parametrize(
    "own",
    [
        lambda: several_of_xgboost(2),
        lambda: several_of_xgboost(3),
        lambda: make_pipeline(StandardScaler().set_output(transform="pandas"), several_of_xgboost(2)),
        lambda: several_of_catboost(2),
        lambda: several_of_catboost(3),
        lambda: SeveralLabels().fit(FULL, LABELS),
    ],
)
def test_several_labels_a_row_are_refused_whatever_the_classes_are_called(own: Any) -> None:
    """They were served as two classes, and the probability of the second label as that of class 1."""
    model = own()
    if hasattr(model, "steps"):
        model[0].fit(FULL)
    with pytest.raises(ModelRefused, match=r"gives a row several labels.* Save one model for each label") as refused:
        registered(model)
    assert not refused.value.can_force


def test_a_check_of_a_version_with_several_labels_says_so() -> None:
    """It was registered before anybody looked."""
    model = load_model(registered(LR().fit(FULL, LABELS)), 1)
    several = SeveralLabels().fit(FULL, LABELS)
    model = replace(model, asking=replace(model.asking, estimator=several), linear=None, matrix=None)
    report = check_model(model, table_of(model.signature, PEOPLE))
    assert report.differences == {
        "the estimator's predict": "it gives each row 2 labels. Save one model for each label"
    }


def test_probabilities_that_do_not_add_up_to_one_need_a_reason() -> None:
    """Of two classes as well, of which one alone is served."""
    own = Odd("not of classes").fit(FULL, LABELS)
    with pytest.raises(ModelRefused, match=r"add up to another number than 1 for \d+ of 50 drawn rows") as refused:
        registered(own)
    assert refused.value.can_force
    forced = registered(own, force="two scores")
    assert "registered all the same: two scores" in forced.metadata.findings


def test_a_predict_that_tells_probabilities_is_no_other_label() -> None:
    """A class of somebody's own may call it so."""
    model = load_model(registered(ProbabilitiesAlone().fit(FULL, LABELS)), 1)
    assert check_model(model, table_of(model.signature, PEOPLE)).is_equal


def neighbours(labels: Any, outlier: Any, radius: float = 1.2) -> Any:
    """Neighbours within a radius; who has none is of no class."""
    last = RadiusNeighborsClassifier(radius=radius, outlier_label=outlier)
    return make_pipeline(StandardScaler(), last).fit(FULL, labels)


def scored(model: LoadedModel) -> Answers:
    """The answers of the service to real rows."""
    table = table_of(model.signature, PEOPLE)
    rows = Rows(np.arange(len(PEOPLE), dtype=np.int64), np.ones(len(PEOPLE), dtype=np.bool_), table)
    return predict_rows(rows, model.signature, model.predict, task=model.task)


@pytest.mark.parametrize(
    ("labels", "outlier"), [(np.array([0, 1, 2])[np.searchsorted(["low", "mid", "top"], THREE)], -1), (LABELS, -1)]
)
def test_a_row_of_none_of_the_classes_is_no_row_of_the_first(labels: Any, outlier: Any) -> None:
    """Each class has the probability 0: such a row got the first class, or the negative one."""
    own = neighbours(labels, outlier)
    model = load_model(registered(own), 1)
    said = own.predict(PEOPLE[list(FULL.columns)])
    of_none = np.flatnonzero(said == outlier).tolist()
    assert 0 < len(of_none) < len(PEOPLE) / 2
    answers = scored(model)
    assert sorted(answers.errors) == of_none
    assert {error.code for error in answers.errors.values()} == {RowError.INVALID_PROBABILITY}
    assert "0 for both classes" in answers.errors[of_none[0]].detail or "none of its classes" in str(answers.errors)
    report = check_model(model, table_of(model.signature, PEOPLE))
    assert (report.differences, report.errors) == ({}, {"invalid_probability": len(of_none)})
    assert report.answered == len(PEOPLE) - len(of_none)


def test_a_model_that_knows_no_class_for_any_drawn_row_needs_a_reason() -> None:
    """Drawn rows may be far from all that it has met: a person can say that real ones are not."""
    own = neighbours(LABELS, -1, radius=1e-9)
    with pytest.raises(ModelRefused, match=r"(\d+) of \1 drawn rows are of none of its classes") as refused:
        registered(own)
    assert refused.value.can_force
    assert registered(own, force="they are near").metadata.classes == (0, 1)


def test_a_label_that_is_no_class_is_no_tie() -> None:
    """Two classes as good as each other excuse another label where it is one of these two."""
    own = Odd("").fit(FULL, THREE)
    model = load_model(registered(LR().fit(FULL, THREE)), 1)
    even = np.full((len(PEOPLE), 3), [0.5, 0.5, 0.0])
    own.predict_proba = lambda rows: even[: len(rows)]
    for label, is_equal in (("low", True), ("mid", True), ("top", False), ("other", False)):
        own.predict = lambda rows, label=label: np.full(len(rows), label)
        odd = replace(model, asking=replace(model.asking, estimator=own), linear=None, matrix=None)
        assert check_model(odd, table_of(model.signature, PEOPLE)).is_equal == is_equal, label


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("0", "with texts and not with numbers. If these are classes, give it predict_proba and classes_"),
        (np.array(["1"], dtype=object)[0], "with texts and not with numbers"),
        (True, "with true and false and not with numbers. If these are classes"),
        (2**53 + 1, "no number for any of 50 drawn rows"),
    ],
)
def test_what_only_looks_like_a_number_is_no_value_of_a_regression(what: Any, words: str) -> None:
    """A class that answers "0" and "1" is a classifier; a whole number that no double equals would be another one."""
    with pytest.raises(ModelRefused, match=words):
        registered(Says(what).fit(FULL))


def test_numbers_in_any_type_are_values_of_a_regression() -> None:
    """Whole ones, those of Decimal, small ones."""
    for what in (7, Decimal(7), np.float32(7), np.int8(7), 2**53):
        model = load_model(registered(Says(what).fit(FULL)), 1)
        assert model.predict(table_of(model.signature, PEOPLE)).values[0] == float(what)
