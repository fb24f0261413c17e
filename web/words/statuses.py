"""How jobs stand, for people: a sign and a word; colour only repeats them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from web.words.catalogues import N_
from web.words.language import Language


@dataclass(frozen=True, slots=True)
class State:
    """A sign, a word and a tone: one of good, busy, waiting, bad, still."""

    sign: str
    word: str
    tone: str
    errors: int = 0  # rows with one, of a job that failed in part: they stand for the word


_WAITING = State("○", N_("waiting"), "waiting")
_COUNTING = State("●", N_("counting"), "busy")
_PAUSED = State("◌", N_("paused"), "waiting")
_RUNNING = State("●", N_("running"), "busy")
_SUCCEEDED = State("✓", N_("succeeded"), "good")
_PARTLY = State("✕", N_("partly failed"), "bad")
_FAILED = State("✕", N_("failed"), "bad")
_CANCELLED = State("–", N_("cancelled"), "still")

# By the words of a filter: as the API has them, but for jobs that failed in part, which it counts as succeeded.
STATES = {
    "queued": _WAITING,
    "running": _RUNNING,
    "succeeded": _SUCCEEDED,
    "partly": _PARTLY,
    "failed": _FAILED,
    "cancelled": _CANCELLED,
}


def state_of(job: Mapping[str, Any], pauses: Sequence[Mapping[str, Any]] = ()) -> State:
    """How a job of the API stands; one that `pauses` hold back neither runs nor waits for its turn."""
    counts = job["request_counts"]
    if is_held(job, pauses):
        return _PAUSED
    if job["status"] == "running" and counts["total"] is None:
        return _COUNTING
    if job["status"] == "succeeded" and counts["failed"]:
        return replace(_PARTLY, errors=counts["failed"])
    return STATES[job["status"]]


def is_held(job: Mapping[str, Any], pauses: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a job of the API is open, and one of `pauses` holds it back."""
    return job["status"] in ("queued", "running") and any(_holds(pause, job) for pause in pauses)


def _holds(pause: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    queues: tuple[str, ...] = ("interactive",) if job["kind"] == "single" else ("bulk",)
    if job["kind"] == "bulk" and job["request_counts"]["total"] is None:
        queues = ("plan", "bulk")
    return pause["queue"] in (None, *queues) and pause["model"] in (None, job["model"])


KINDS = {"bulk": N_("bulk"), "single": N_("single")}  # by the words of the API
_QUEUES = {"bulk": N_("bulk jobs"), "interactive": N_("single predictions")}


def shown_queue(language: Language, name: str) -> str:
    """A queue in the reader's language; one that is unknown here by its own name."""
    return language.say(_QUEUES[name]) if name in _QUEUES else name
