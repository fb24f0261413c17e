"""Thresholds that an estimator holds itself: on whichever class or number, its labels are served, or it is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC

from cli.output.check_text import check_lines
from model.errors import ModelRefused
from model.own_threshold import goes_by_distance, label_threshold, own_threshold
from tests.models import ThresholdOfBooster, ThresholdOfMine
from tests.unit.models.test_models_of_others import FULL, LABELS, LR, people, registered, table_of
from worker.errands.real_rows import _seen
from worker.models.check import check_model
from worker.models.loaded_model import LoadedModel, load_model

pytestmark = pytest.mark.filterwarnings("ignore")

WORDS = np.where(LABELS, "Yes", "No")
PEOPLE = people(5).fillna({"pay": 1.0, "kids": 1.0})


def fixed(inner: Any = None, **how: Any) -> Any:
    """A classifier of No and Yes with a threshold of its own."""
    return FixedThresholdClassifier(inner or LR(), **how).fit(FULL, WORDS)


def checked(model: LoadedModel) -> dict[str, Any]:
    """What `models check` says of real rows."""
    return check_model(model, table_of(model.signature, PEOPLE)).to_json()


@pytest.mark.parametrize("positive", ["Yes", "No"])
@pytest.mark.parametrize("threshold", ["auto", 0.2, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("held", ["Yes", "No", None])
@pytest.mark.parametrize("inner", [LR(), KNeighborsClassifier(10)])
def test_a_threshold_on_either_class_gives_the_labels_of_predict(
    inner: Any, held: str | None, threshold: Any, positive: str
) -> None:
    """Shares of ten stand at the threshold itself: such a row is of the class that holds it."""
    own = fixed(inner, threshold=threshold, pos_label=held, response_method="predict_proba")
    classes = ("No", "Yes") if positive == "Yes" else ("Yes", "No")
    from_ = own_threshold(own, classes)
    answers = own.predict_proba(FULL)[:, own.classes_.tolist().index(positive)]
    assert [classes[int(answer >= from_)] for answer in answers] == own.predict(FULL).tolist()


def test_the_threshold_of_the_other_class_is_served() -> None:
    """And it is said what it is here: 0.3 on No is 0.7 on Yes."""
    for own in (
        fixed(threshold=0.3, pos_label="No"),
        make_pipeline(FixedThresholdClassifier(LR(), threshold=0.3, pos_label="No")).fit(FULL, WORDS),
    ):
        artefact = registered(own)
        assert artefact.metadata.threshold == pytest.approx(0.7)
        assert "threshold 0.7, which the estimator holds itself" in artefact.metadata.findings
        report = checked(load_model(artefact, 1))
        assert (report["differences"], report["first_errors"]) == ({}, {})
        assert check_lines(report)[-1] == "every answer equals the estimator's own"


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (lambda: fixed(threshold=-1.0, response_method="decision_function"), "-1.0, is one of decision_function"),
        (lambda: fixed(threshold=0.0, pos_label="No"), "0.0, on the class No"),
        (
            lambda: TunedThresholdClassifierCV(LR(), response_method="decision_function", cv=2).fit(FULL, WORDS),
            "is one of decision_function",
        ),
    ],
)
def test_a_threshold_that_nothing_here_stands_for_needs_a_person(own: Any, words: str) -> None:
    """It became 0.5, with the words that none was given."""
    with pytest.raises(ModelRefused, match=rf"estimator's own threshold.*{words}.* Say --threshold") as raised:
        registered(own())
    assert raised.value.can_force
    assert registered(own(), threshold=0.3).metadata.threshold == 0.3
    forced = registered(own(), force="as agreed")
    assert any("registered all the same: as agreed" in finding for finding in forced.metadata.findings)
    report = checked(load_model(forced, 1))
    assert "not what the estimator's predict gives" in report["first_errors"]["labels"]
    assert check_lines(report)[-1] == "every probability equals the estimator's own"
    said = _seen(report, "people")
    assert said[0].endswith("answered, each with the estimator's own probabilities")
    assert said[1] == f"of people: {report['first_errors']['labels']}"


def test_rows_at_the_threshold_are_counted() -> None:
    """Of two neighbours one says Yes: the label is Yes and predict says No. It is said how to follow it."""
    own = KNeighborsClassifier(2).fit(FULL, WORDS)
    model = load_model(registered(own), 1)
    report = checked(model)
    frame = PEOPLE[list(FULL.columns)]
    count = int((own.predict_proba(frame)[:, 1] == 0.5).sum())
    assert count > 1
    assert report["differences"] == {}
    assert report["first_errors"]["labels"] == (
        f"{count} labels are not what the estimator's predict gives: {count} rows stand exactly at the threshold, "
        "where the label is Yes and predict says No; with --threshold 0.50000001 it is as predict says"
    )
    assert check_lines(report)[-1] == "every probability equals the estimator's own"
    assert "exactly at the threshold" in _seen(report, "people")[1]
    follows = checked(load_model(registered(own, threshold=0.50000001), 1))
    assert (follows["differences"], follows["first_errors"]) == ({}, {})


def told(threshold: Any) -> Any:
    """What tells this threshold as CatBoost does."""
    own = ThresholdOfBooster().fit(FULL, WORDS)
    own.told = threshold
    return own


@pytest.mark.parametrize(
    "own",
    [
        lambda: FrozenEstimator(fixed(threshold=0.3)),
        lambda: make_pipeline(FrozenEstimator(make_pipeline(fixed(threshold=0.3)))).fit(FULL, WORDS),
        lambda: SelfTrainingClassifier(FixedThresholdClassifier(LR(), threshold=0.3)).fit(FULL, WORDS.astype(object)),
        lambda: told(0.3),
        lambda: FrozenEstimator(told(0.3)),
    ],
)
def test_a_threshold_is_found_behind_whatever_hands_its_rows_on(own: Any) -> None:
    """And in boosters that hold one: it became 0.5, with other labels than those of predict."""
    artefact = registered(own())
    assert artefact.metadata.threshold == pytest.approx(0.3)
    assert "threshold 0.3, which the estimator holds itself" in artefact.metadata.findings
    report = checked(load_model(artefact, 1))
    assert (report["differences"], report["first_errors"]) == ({}, {})


def test_the_plain_threshold_of_a_booster_is_nobodys_choice() -> None:
    """Each has 0.5 where none was set; one of more than two classes has none."""
    for threshold in (0.5, None):
        assert own_threshold(told(threshold), ("No", "Yes")) is None
        assert label_threshold(told(threshold), ("No", "Yes")) == 0.5


def test_distances_are_seen_behind_whatever_hands_its_rows_on() -> None:
    """A frozen SVC goes by them as well."""
    assert goes_by_distance(FrozenEstimator(SVC()))
    assert not goes_by_distance(FrozenEstimator(LR()))


def test_a_threshold_that_nothing_tells_is_asked_for_with_where_predict_parts() -> None:
    """By drawn rows already, and by real ones; with it the version is as predict says."""
    own = ThresholdOfMine().fit(FULL, WORDS)
    with pytest.raises(
        ModelRefused, match=r"predict parts between .* Say a --threshold between them\. Or mend"
    ) as said:
        registered(own)
    assert said.value.can_force
    low, high = map(float, re.findall(r"probabilities (\S+) and (\S+)\. Say", str(said.value))[0])
    assert low <= 0.3 < high
    report = checked(load_model(registered(own, force="to see"), 1))
    with pytest.raises(
        ModelRefused, match=r"Real rows of people.*predict parts between .*--threshold.*--force"
    ) as real:
        _seen(report, "people")
    low, high = map(float, re.findall(r"probabilities (\S+) and (\S+)\. Say", str(real.value))[0])
    assert low <= 0.3 < high < low + 0.1
    report = checked(load_model(registered(own, threshold=0.3), 1))
    assert report["differences"] == {}
