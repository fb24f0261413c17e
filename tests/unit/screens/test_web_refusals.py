"""What the API refuses is told in the reader's language, with the figures and names that it gives."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from api.access.caller import Caller
from api.access.caps import TooManyAtOnce
from api.http.problems import Problem, problem_of, render
from shared.errors import (
    FeaturesRefused,
    FilterRefused,
    IdempotencyKeyReused,
    JobTooLarge,
    JobUnknown,
    ModelRequired,
    NoLiveModel,
    NothingSelected,
    NothingToRollBack,
    PredictqError,
    VersionRetired,
)
from shared.files.refusals import TableRefused
from shared.models.feature import FeatureKind, FeatureSpec, check_value
from shared.models.source_changes import Columns
from shared.sentences import Sentence, retold
from shared.sources.source import KeyColumn, Source
from web.words.api_refusals import told_flaw, told_refusal
from web.words.language import choose_language
from worker.sources.errands import _column_changes, _history
from worker.uploads.rows import faults_of

FRENCH = choose_language({}, "fr")
SOURCE = Source(1, "clients", None, "public", "clients", (KeyColumn("id", "bigint"),))
AGE = FeatureSpec("age", FeatureKind.INTEGER, minimum=18, maximum=120)


def refused_features(*values: object) -> FeaturesRefused:
    return FeaturesRefused([flaw for value in values if (flaw := check_value(AGE, value)) is not None])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (JobUnknown(UUID(int=1)), "Il n’y a pas de travail 00000000-0000-0000-0000-000000000001."),
        (refused_features("x"), "age doit être un nombre entier de 18 à 120"),
        (refused_features(None, 7), "age manque\N{NO-BREAK SPACE}; age doit être au moins 18 ; il est écrit « 7 »"),
        (NoLiveModel(), "Aucun modèle n’est en service : enregistrez-en un et mettez-le en service."),
        (
            NoLiveModel("x"),
            "Aucune version du modèle « x » n’est en service : mettez-en une en service.",
        ),
        (ModelRequired(), "Choisissez un modèle : il n’y en a pas par défaut."),
        (VersionRetired("x:3"), "x:3 a été retirée et son fichier n’existe plus : enregistrez-le de nouveau."),
        (NothingToRollBack("x"), "Aucune autre version de x n’a été en service auparavant."),
        (NothingSelected(), "Il n’y a aucun client : donnez-en au moins un."),
        (IdempotencyKeyReused(), "Ce formulaire a déjà été envoyé avec d’autres valeurs : rechargez sa page."),
        (
            JobTooLarge(20, 10, None),
            "Le travail a 20 lignes, et 10 au plus peuvent attendre : divisez-le, ou demandez une limite plus haute.",
        ),
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


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            lambda: Caller("x", ("read",)).need("bulk", "operate"),
            "Il faut l’un des rôles bulk, operate ; vous avez read.",
        ),
        (
            lambda: Caller("x", ("read",), models=frozenset({"a", "b"})).need_model("c"),
            "Votre clé vaut pour les modèles a, b, pas pour c.",
        ),
        (
            lambda: _raise(TooManyAtOnce("waiting calls", 3, "max_waiting", of_key=True)),
            "3 au plus peuvent être ouverts à la fois : attendez qu’un se termine, puis réessayez.",
        ),
    ],
)
def test_what_a_caller_may_not_is_told_in_french(problem: Callable[[], None], said: str) -> None:
    """Roles, models and caps, as they go over the wire."""
    with pytest.raises(Problem) as caught:
        problem()
    assert told_refusal(FRENCH, orjson.loads(render(caught.value, instance="/", request_id="1").body)) == said


def _raise(problem: Problem) -> None:
    raise problem


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"pay": ("text", False)}, {}, "pay a disparu, ou ne peut plus être lue."),
        ({"pay": ("text", False)}, {"pay": ("bigint", False)}, "pay était de type text et est de type bigint."),
        ({"pay": ("text", False)}, {"pay": ("text", True)}, "pay peut maintenant être absente."),
        ({"pay": ("text", True)}, {"pay": ("text", False)}, "pay n’est plus jamais absente."),
        ({}, {"<pay>": ("text", False)}, "&lt;pay&gt; est nouvelle."),
    ],
)
def test_what_changed_of_a_source_is_told_in_french(before: Columns, now: Columns, said: str) -> None:
    """By what a check keeps beside its English sentence; whose names are no markup."""
    source = replace(SOURCE, measured={})
    kept = _history(source, _column_changes(before, now), datetime.now(UTC))["history"][0]
    assert [told_flaw(FRENCH, change) for change in kept["told"]] == [said]
    assert all("lang" not in told_flaw(FRENCH, change) for change in kept["told"])


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
