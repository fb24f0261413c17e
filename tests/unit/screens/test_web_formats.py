"""Times, sizes and figures as their readers write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from babel import Locale
from markupsafe import escape

from shared.pauses import Pause
from shared.status import Queue
from web.words.audit_acts import shown_object
from web.words.catalogues import N_
from web.words.concerns import say_concern
from web.words.language import Language, choose_language
from web.words.numbers import Numbers
from web.words.statuses import shown_queue
from web.words.values import shown_value
from web.words.verdicts import said_of

AT = datetime(2026, 11, 27, 0, 9, 41, 765_000, tzinfo=UTC)


def in_french(zone: str = "Europe%2FParis") -> Language:
    return choose_language({"predictq_zone": zone}, "fr")


@pytest.mark.parametrize("cookies", [{}, {"predictq_zone": "Nowhere/At_all"}])
def test_times_say_their_zone_where_the_readers_is_unknown(cookies: dict[str, str]) -> None:
    """Without JavaScript nobody knows it: every time of day says UTC. With it times are the reader's."""
    moments = choose_language(cookies, "en-GB").moments
    assert [moments.second(AT), moments.exact(AT), moments.near(AT, AT)] == [
        "00:09:41 UTC",
        "00:09:41.765 UTC",
        "00:09:41 UTC",
    ]
    assert moments.near(AT, datetime(2026, 12, 24, tzinfo=UTC)) == "27 Nov, 00:09 UTC"
    own = choose_language({"predictq_zone": "Europe%2FParis"}, "en-GB").moments
    assert [own.second(AT), own.near(AT, AT)] == ["01:09:41", "01:09:41"]


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("Europe%2FParis", "27 nov. 2026, 01:09:41 UTC+1"),
        ("Asia%2FKolkata", "27 nov. 2026, 05:39:41 UTC+5:30"),
        ("America%2FSt_Johns", "26 nov. 2026, 20:39:41 UTC−3:30"),
        ("", "27 nov. 2026, 00:09:41 UTC"),
    ],
)
def test_a_zone_is_written_as_people_know_it(zone: str, written: str) -> None:
    """Neither +0100 nor a country's own letters."""
    assert in_french(zone).moments.full(AT) == written


def test_a_french_reader_gets_french_marks_and_units() -> None:
    """A comma before the thousandths, and octets."""
    french = in_french()
    assert french.moments.exact(AT) == "01:09:41,765"
    assert french.moments.dated(AT, AT) == "27 nov., 01:09:41"
    assert [french.numbers.size(size) for size in (12, 20_000_000)] == ["12 o", "20 Mo"]
    assert choose_language({}, "en").numbers.size(20_000_000) == "20 MB"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (7.6, "8 s"), (37.8, "40 s"), (57.0, "1 min"), (290, "5 min")]
)
def test_a_guessed_duration_is_round(seconds: float, said: str) -> None:
    """Nobody knows that 37.8 s are left."""
    assert in_french().moments.roughly(seconds) == said


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        ((0.83124, 0.81013, 0.85217), ("0.83", "0.81 – 0.85")),
        ((0.83124, 0.83013, 0.83217), ("0.8312", "0.8301 – 0.8322")),
        ((1523.7, 1410.2, 1630.9), ("1,524", "1,410 – 1,631")),
        ((0.83124, None, None), ("0.831", "")),
    ],
)
def test_a_figure_has_no_more_digits_than_its_interval_lets_mean_something(
    figure: tuple[float, float | None, float | None], shown: tuple[str, str]
) -> None:
    """Two decimals, as a rule."""
    assert Numbers(Locale("en")).with_interval(*figure) == shown


def test_what_somebody_else_wrote_is_ended_before_the_next_sentence() -> None:
    """« jusqu’à 14 h. Depuis 01:25:35. », and a queue has a French name."""
    about: dict[str, Any] = {"queue": "bulk", "model": None, "actor": "ops", "reason": "jusqu’à 14 h"}
    said = say_concern(in_french(), "paused", about, "", "")
    assert (said.title, said.cause) == ("En pause : travaux de masse", "Par ops : jusqu’à 14 h.")
    assert say_concern(in_french(), "paused", {**about, "reason": "Stop!"}, "", "").cause.endswith("Stop!")
    assert shown_queue(in_french(), "own_queue") == "own_queue"


@pytest.mark.parametrize(
    ("code", "about", "cause"),
    [
        (
            "failing",
            {"model": "m", "version": 1, "batches": 2, "error": "no <b>"},
            '2 lots sont retentés : <span lang="en">no &lt;b&gt;.</span>',
        ),
        (
            "unloadable",
            {"model": "m", "batches": 1, "why": "no numpy", "requirements": ""},
            '1 lot attend. <span lang="en">no numpy</span>',
        ),
        ("unloadable", {"model": "m", "batches": 1, "why": "", "requirements": ""}, "1 lot attend."),
        (
            "upkeep",
            {
                "failing": {"compact": "no disk"},
                "late": {},
                "is_catching_up": False,
                "silent_seconds": None,
                "ever": True,
            },
            '<span lang="en">compact: no disk</span>',
        ),
        (
            "upkeep",
            {
                "failing": {},
                "late": {"compact": "is late"},
                "is_catching_up": False,
                "silent_seconds": None,
                "ever": True,
            },
            '<span lang="en">compact: is late</span>',
        ),
        (
            "upkeep",
            {
                "failing": {},
                "late": {"compact": "is late"},
                "is_catching_up": False,
                "silent_seconds": 900.0,
                "ever": True,
            },
            "Partitions, conservation et ces chiffres sont son travail.",
        ),
    ],
)
def test_what_machines_say_is_marked_as_english(code: str, about: dict[str, Any], cause: str) -> None:
    """So that a screen reader does not read it as French; and it is no markup, whatever is in it."""
    assert escape(say_concern(in_french(), code, about, "", "").cause) == cause


def test_an_upkeep_that_is_catching_up_is_not_to_be_ended() -> None:
    """Late duties wait for one that is at work: its person is told to leave it there."""
    about = {"failing": {}, "late": {"expiry": "waits"}, "silent_seconds": None, "ever": True}
    said = [say_concern(in_french(), "upkeep", {**about, "is_catching_up": is_so}, "", "") for is_so in (True, False)]
    assert [one.command for one in said] == ["predictq doctor", "predictq upkeep"]
    assert "laissez-la travailler" in str(said[0].action)


def test_a_late_queue_has_a_french_name() -> None:
    """As in all other matters."""
    late = say_concern(in_french(), "late", {"queue": "interactive", "seconds": 90, "rows": 1}, "", "")
    assert "prédictions" in late.title
    assert "interactive" not in late.title
    unknown = say_concern(in_french(), "of_tomorrow", {}, "New & strange", "")
    assert escape(unknown.title) == '<span lang="en">New &amp; strange</span>'


def test_french_has_the_words_of_its_readers() -> None:
    """A class is no label of a bottle, and nothing done is « aucun », not « 0 fait »."""
    wanted = {N_("Label"): "Classe", N_("none done"): "aucun terminé", N_("Null"): "Valeurs absentes"}
    assert {text: in_french().say(text) for text in wanted} == wanted


@pytest.mark.parametrize(
    ("answer", "classes", "said"),
    [
        (
            {"label": 0, "probability": 0.3037, "threshold": 0.6882},
            [0, 1],
            "probability of class “1”: 0.3037, below the threshold of 0.6882",
        ),
        (
            {"label": True, "probability": 0.5, "threshold": 0.5},
            [False, True],
            "probability of class “yes”: 0.5, at or above the threshold of 0.5",
        ),
        (
            {"label": "red", "probability": 0.61},
            ["red", "green", "blue"],
            "probability of class “red”: 0.61, the highest of 3",
        ),
        (
            {"label": 0, "probability": 0.49996, "threshold": 0.5},
            [0, 1],
            "probability of class “1”: 0.49996, below the threshold of 0.5",
        ),
        (
            {"label": 1, "probability": 0.00003, "threshold": 0.00002},
            [0, 1],
            "probability of class “1”: 0.00003, at or above the threshold of 0.00002",
        ),
        (
            {"label": 0, "probability": 0.68820000000000003, "threshold": 0.68820000000000014},
            [0, 1],
            "probability of class “1”: 0.6882, below the threshold of 0.6882000000000001",
        ),
        ({"value": 12.5}, [], "the model's value"),
    ],
)
def test_an_answer_says_of_what_its_probability_is(answer: dict[str, Any], classes: list[Any], said: str) -> None:
    """Of two classes, of several, and of none; with all digits, so that near a threshold they do not belie it."""
    assert said_of(choose_language({}, "en"), answer, classes) == said


@pytest.mark.parametrize(
    ("probability", "threshold", "shown"),
    [
        (0.30371, 0.6882, "0.3037"),
        (0.5, 0.5, "0.5000"),
        (0.49996, 0.5, "0.49996"),
        (0.4999999999999999, 0.5, "0.4999999999999999"),
        (0.68824999, 0.68825, "0.6882"),
        (0.68825, 0.688249, "0.68825"),
        (0.00003, 0.00002, "0.00003"),
        (1e-20, 1e-21, "1E-20"),
        (0.99999, 1.0, "0.99999"),
        (0.99999, None, "1.0000"),
        (None, 0.5, "–"),
    ],
)
def test_a_rounded_probability_stays_on_its_side_of_the_threshold(
    probability: float | None, threshold: float | None, shown: str
) -> None:
    """In a table whose next column is the class: four decimals, and more only where four would say otherwise."""
    assert Numbers(Locale("en")).probability(probability, threshold) == shown


def test_a_feature_that_is_a_moment_says_its_zone() -> None:
    """The reader's, as other times of the page are, to the last digit; one without a zone is nobody's to move."""
    moment = {"kind": "datetime", "dtype": "datetime64[us, UTC]"}
    for text in ("2026-01-31T23:30:00.000500+00:00", "2026-01-31T23:30:00.000500Z", "2026-01-31T23:30:00.000500"):
        assert shown_value(in_french(), moment, text) == "2026-02-01 00:30:00.000500 UTC+1"
    assert shown_value(choose_language({}, "en"), moment, "2026-07-01T00:00:00Z") == "2026-07-01 00:00:00 UTC"
    plain = {"kind": "datetime", "dtype": "datetime64[us]"}
    assert shown_value(in_french(), plain, "2026-01-31T23:30:00") == "2026-01-31 23:30:00"
    assert shown_value(in_french(), plain, "2026-01-31T00:00:00") == "2026-01-31"


@pytest.mark.parametrize("accept", ["en", "en-US", "en-GB", "fr", "fr-CA"])
def test_a_day_has_24_hours_in_every_locale(accept: str) -> None:
    """Whichever of the two languages was chosen, in a browser of whatever country."""
    moments = choose_language({"predictq_zone": "UTC"}, accept).moments
    at = datetime(2026, 11, 27, 14, 5, 9, tzinfo=UTC)
    for shown in (moments.clock(at), moments.second(at), moments.near(at, at), moments.full(at), moments.mark(at, 60)):
        assert "14" in shown
        assert "PM" not in shown.upper()


def test_a_share_that_is_not_nothing_is_not_written_as_nothing() -> None:
    """However small; and nothing stays nothing."""
    written = [(3, 153_391), (0, 153_391), (153, 153_391), (1, 8)]
    assert [Numbers(Locale("en")).share(*one) for one in written] == ["< 0.1 %", "0 %", "0.1 %", "12 %"]
    assert Numbers(Locale("fr")).share(3, 153_391) == "< 0,1 %"


def test_what_an_act_was_done_to_is_said_in_french() -> None:
    """What kind of thing it was; a model that is called like a key keeps its name."""
    said = {
        ("key.create", "key pq_PJzyzH7O"): "clé pq_PJzyzH7O",
        ("job.cancel", "jobs of a filter"): "travaux d’un filtre",
        ("features.read", "prediction 1-2"): "prédiction 1-2",
        ("model.change", "key figures"): "key figures",
        ("retention.floor", None): "",
        ("pause.begin", "the queue bulk"): "travaux de masse",
        ("pause.end", "the work of churn"): "les travaux de churn",
        ("pause.begin", "the work of churn in the queue interactive"): "les travaux de churn : prédictions à l’unité",
        ("pause.begin", "the work of the queue bulk"): "les travaux de the queue bulk",
        ("pause.begin", "the work of a the queue bulk"): "les travaux de a the queue bulk",
    }
    assert {given: shown_object(in_french(), *given) for given in said} == said


@pytest.mark.parametrize(("queue", "model"), [(Queue.BULK, None), (None, "churn"), (Queue.BULK, "churn")])
def test_what_was_paused_is_read_as_pauses_name_it(queue: Queue | None, model: str | None) -> None:
    """However they come to say it: nothing of the English is left."""
    pause = Pause(1, queue, model, "month end", "olga", datetime.now(UTC))
    shown = shown_object(in_french(), "pause.begin", pause.what)
    assert "the " not in shown
    assert ("travaux de masse" in shown, "churn" in shown) == (queue is not None, model is not None)


def test_nothing_is_singular_in_french() -> None:
    """As its grammar has it: 0 client correspond."""
    assert in_french().texts.ngettext("client fits now", "clients fit now", 0).startswith("client correspond ")
