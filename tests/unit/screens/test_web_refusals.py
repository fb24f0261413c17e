"""What the API refuses is told in the reader's language, with the figures and names that it gives."""

from __future__ import annotations

import pickle
from typing import Any
from uuid import UUID

import orjson
import pytest

from api.http.problems import problem_of, render
from shared.errors import FeaturesRefused, FilterRefused, JobUnknown, PredictqError
from shared.files.refusals import TableRefused
from shared.models.feature import FeatureKind, FeatureSpec, check_value
from shared.sentences import Sentence, retold
from web.words.api_refusals import told_flaw, told_refusal
from web.words.language import choose_language
from worker.uploads.rows import faults_of

FRENCH = choose_language({}, "fr")
AGE = FeatureSpec("age", FeatureKind.INTEGER, minimum=18, maximum=120)


def refused_features(*values: object) -> FeaturesRefused:
    return FeaturesRefused([flaw for value in values if (flaw := check_value(AGE, value)) is not None])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (JobUnknown(UUID(int=1)), "Il n’y a pas de travail 00000000-0000-0000-0000-000000000001."),
        (refused_features("x"), "age doit être un nombre entier de 18 à 120"),
        (refused_features(None, 7), "age manque; age doit être au moins 18 ; il est écrit « 7 »"),
        (
            FilterRefused("dép", Sentence("no column", "no_filter_column", source="s", name="dép")),
            "la source s n’a pas de colonne « dép » qui puisse servir de filtre",
        ),
    ],
)
def test_a_refusal_is_told_in_french_by_what_its_answer_says(error: PredictqError, said: str) -> None:
    """From the error over the wire to the page: nothing is read out of the English sentence."""
    problem = problem_of(error)
    assert problem is not None
    answer = orjson.loads(render(problem, instance="/v1/jobs", request_id="1").body)
    assert told_refusal(FRENCH, answer) == said


def test_what_has_no_words_is_told_in_english_and_says_so() -> None:
    """Also where another release leaves a figure out; and nothing of it is markup."""
    flaw: dict[str, Any] = {"code": "odd", "detail": "<b>odd</b>"}
    assert told_flaw(FRENCH, flaw) == '<span lang="en">&lt;b&gt;odd&lt;/b&gt;</span>'
    assert "lang" in told_flaw(FRENCH, {**flaw, "reason": "too_low", "about": {}})
    hostile = {**flaw, "reason": "column_twice", "about": {"name": "<b>"}}
    assert told_flaw(FRENCH, hostile) == "la colonne « &lt;b&gt; » figure deux fois"


def test_a_table_that_cannot_be_read_keeps_its_reason_on_the_way() -> None:
    """Its text is changed for the callers of the API, its line is taken out of it, and it may be pickled."""
    refused = TableRefused(Sentence("line 7: has 2 fields: --separator", "other_width", fields=2, wanted=3))
    (fault,) = faults_of(pickle.loads(pickle.dumps(refused)))
    assert (fault.line, fault.detail) == (7, "has 2 fields: `separator`")
    assert isinstance(fault.detail, Sentence)
    assert (fault.detail.reason, fault.detail.about) == ("other_width", {"fields": 2, "wanted": 3})
    assert type(retold("plain", "words", name="x")) is str
