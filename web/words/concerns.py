"""What needs a person, in the reader's words: a sentence, its cause, and what to do. The figures are the API's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from web.words.catalogues import N_
from web.words.codes import meaning_of
from web.words.language import Language, in_english
from web.words.statuses import shown_queue


@dataclass(frozen=True, slots=True)
class Said:
    """One matter in words, what machines and sources say of it marked as English.

    `command` is what to type, `path` where to look.
    """

    title: str
    cause: str
    action: str
    command: str = ""
    path: str = ""
    is_grave: bool = True


Words = Callable[[Language, Mapping[str, Any]], Said]


def say_concern(language: Language, code: str, about: Mapping[str, Any], detail: str, advice: str) -> Said:
    """The words of a matter; of one that is unknown here, those of the API."""
    words = _WORDS.get(code)
    return Said(in_english(detail), "", "", command=advice) if words is None else words(language, about)


def _no_worker(language: Language, about: Mapping[str, Any]) -> Said:
    return Said(
        language.say(N_("No worker is alive")),
        language.say_count(
            "%(count)s row waits. Jobs are accepted, and none is answered.",
            "%(count)s rows wait. Jobs are accepted, and none is answered.",
            about["rows"],
        ),
        language.say(N_("Start one:")),
        command="predictq worker --concurrency 2",
    )


def _silent_workers(language: Language, about: Mapping[str, Any]) -> Said:
    names = ", ".join(about["workers"])
    return Said(
        language.say(N_("Workers run, and cannot write to PostgreSQL")),
        language.say(N_("They are connected (%(names)s), and none can say that it is alive."), names=names),
        language.say(N_("Read their logs. May their role write?")),
    )


def _unloadable(language: Language, about: Mapping[str, Any]) -> Said:
    waits = language.say_count("%(count)s batch waits.", "%(count)s batches wait.", about["batches"])
    return Said(
        language.say(N_("%(model)s cannot be loaded by any worker"), model=about["model"]),
        Markup("{} {}").format(waits, in_english(about["why"])) if about["why"] else waits,
        language.say(N_("Start a worker that has:")),
        command=str(about["requirements"]),
    )


def _failing(language: Language, about: Mapping[str, Any]) -> Said:
    return Said(
        language.say(N_("%(model)s %(version)s fails"), model=about["model"], version=about["version"]),
        language.say_count(
            "%(count)s batch is tried again: %(error)s",
            "%(count)s batches are tried again: %(error)s",
            about["batches"],
            error=in_english(_ended(str(about["error"] or "–")[:300])),
        ),
        language.say(N_("Read the workers' logs.")),
    )


def _rows_fail(language: Language, about: Mapping[str, Any]) -> Said:
    failed, rows, code = about["failed"], about["rows"], about["error_code"]
    share = language.numbers.share(failed, rows)
    counted = language.say(
        N_("%(failed)s of %(rows)s."), failed=language.numbers.whole(failed), rows=language.numbers.whole(rows)
    )
    meaning = language.say(
        N_("Most of them are %(code)s: %(what)s"), code=code, what=language.say(meaning_of(code).what)
    )
    return Said(
        language.say(
            N_("%(share)s of the rows of %(model)s had an error in the last hour"), share=share, model=about["model"]
        ),
        f"{counted} {meaning}" if code else counted,
        language.say(N_("Look at the model")),
        path=f"/models/{quote(about['model'], safe='')}",
        is_grave=2 * failed >= rows,
    )


def _stalled(language: Language, about: Mapping[str, Any]) -> Said:
    time = language.moments.lasting(about["seconds"])
    return Said(
        language.say(N_("Nothing is answered")),
        language.say(
            N_("Rows of the queue %(queue)s wait for %(time)s."), queue=shown_queue(language, about["queue"]), time=time
        ),
        language.say(N_("Look at the workers:")),
        command="predictq doctor",
    )


def _late(language: Language, about: Mapping[str, Any]) -> Said:
    queue, time = shown_queue(language, about["queue"]), language.moments.lasting(about["seconds"])
    return Said(
        language.say(N_("The queue %(queue)s has waited for %(time)s"), queue=queue, time=time),
        language.say_count("%(count)s row waits.", "%(count)s rows wait.", about["rows"]),
        language.say(N_("Add a worker:")),
        command="predictq worker --concurrency 2",
        is_grave=False,
    )


def _source_away(language: Language, about: Mapping[str, Any]) -> Said:
    return Said(
        language.say(N_("The source %(source)s does not answer"), source=about["source"]),
        language.say(N_("Its rows wait, and other sources go on."))
        if not about["is_given_up"]
        else language.say(N_("Its rows were waited for long enough, and get an error now.")),
        language.say(N_("Look at the source")),
        path="/sources",
    )


def _source_refuses(language: Language, about: Mapping[str, Any]) -> Said:
    return Said(
        language.say(N_("The source %(source)s refuses to be read"), source=about["source"]),
        language.say(
            N_("A right, its table or a column is gone or has changed, and its rows get an error. Check the source.")
        ),
        language.say(N_("Look at the source")),
        path="/sources",
    )


def _source_changed(language: Language, about: Mapping[str, Any]) -> Said:
    names = ", ".join([*about["lacking"], *about["changed"]])
    return Said(
        language.say(N_("The source %(source)s has changed"), source=about["source"]),
        language.say(
            N_("%(model)s %(version)s is live, and needs as they were: %(names)s."),
            model=about["model"],
            version=about["version"],
            names=names,
        ),
        language.say(N_("Look at the source")),
        path="/sources",
        is_grave=bool(about["lacking"]),
    )


def _database_full(language: Language, _: Mapping[str, Any]) -> Said:
    return Said(
        language.say(N_("PostgreSQL's disk is full")),
        language.say(N_("What was to be written found no room: nothing is accepted.")),
        language.say(N_("Make room on the disk of its data.")),
    )


_REDIS_TROUBLES = {
    "away": N_("Redis does not answer"),
    "full": N_("Redis' memory is full"),
    "refuses": N_("Redis refuses the password, or a right of its user"),
    "read_only": N_("Redis takes no writes"),
}


def _redis(language: Language, about: Mapping[str, Any]) -> Said:
    trouble = str(about["trouble"])
    return Said(
        language.say(_REDIS_TROUBLES[trouble]),
        language.say(N_("Jobs are accepted, and wait until it takes messages.")),
        language.say(N_("See what to do:")),
        command="predictq doctor",
    )


def _disk(language: Language, about: Mapping[str, Any]) -> Said:
    size = language.numbers.size
    days = int(about["days"])
    return Said(
        language.say_count("The disk is full in %(count)s day", "The disk is full in %(count)s days", days)
        if about["days"]
        else language.say(N_("The disk is full, or nearly")),
        language.say(
            N_("%(free)s are free, and %(grown)s are added a day."),
            free=size(about["free_bytes"]),
            grown=size(about["bytes_per_day"]),
        ),
        language.say(N_("See what takes it:")),
        command="predictq storage",
        is_grave=about["days"] < 7,
    )


def _upkeep(language: Language, about: Mapping[str, Any]) -> Said:
    troubles = {**about["late"], **about["failing"]}
    said = "; ".join(f"{name}: {why}" for name, why in troubles.items())
    runs = about["ever"] and about["silent_seconds"] is None
    must_start = about["late"] and not about["is_catching_up"]
    if not runs:
        title, action = N_("The upkeep does not run"), N_("Start it:")
    elif about["is_catching_up"]:
        title, action = N_("The upkeep is late"), N_("It is catching up, so leave it at work. See too:")
    elif about["late"]:
        title = N_("The upkeep is late")
        action = N_(
            "Read its log: a run over much data may take hours. Where nothing moves, end it, and start it again:"
        )
    else:
        title, action = N_("The upkeep fails"), N_("It tries again by itself. Its log tells more; see too:")
    return Said(
        language.say(title),
        (in_english(said[:300]) if runs else "")
        or language.say(N_("Partitions, retention and these figures are its work.")),
        language.say(action),
        command="predictq upkeep" if not runs or must_start else "predictq doctor",
        is_grave=False,
    )


def _paused(language: Language, about: Mapping[str, Any]) -> Said:
    queue = shown_queue(language, about["queue"]) if about["queue"] else ""
    what = " · ".join(filter(None, (queue, about["model"])))
    return Said(
        language.say(N_("Paused: %(what)s"), what=what),
        _ended(language.say(N_("By %(actor)s: %(reason)s"), actor=about["actor"], reason=about["reason"] or "–")),
        language.say(N_("Resume it below")),
        path="/#pauses",
        is_grave=False,
    )


def _ended(text: str) -> str:
    """A sentence that somebody else has ended, or not: another one follows it."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


_WORDS: dict[str, Words] = {
    "no_worker": _no_worker,
    "silent_workers": _silent_workers,
    "unloadable": _unloadable,
    "failing": _failing,
    "rows_fail": _rows_fail,
    "stalled": _stalled,
    "late": _late,
    "source_away": _source_away,
    "source_refuses": _source_refuses,
    "source_changed": _source_changed,
    "database_full": _database_full,
    "redis": _redis,
    "disk": _disk,
    "upkeep": _upkeep,
    "paused": _paused,
}
