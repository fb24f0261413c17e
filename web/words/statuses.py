"""How jobs stand, for people: a sign and a word; colour only repeats them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from web.words.catalogues import N_


@dataclass(frozen=True, slots=True)
class State:
    """A sign, a word and a tone: one of good, busy, waiting, bad, still."""

    sign: str
    word: str
    tone: str


_WAITING = State("○", N_("waiting"), "waiting")
_COUNTING = State("●", N_("counting"), "busy")
_RUNNING = State("●", N_("running"), "busy")
_SUCCEEDED = State("✓", N_("succeeded"), "good")
_PARTLY = State("✕", N_("partly failed"), "bad")
_FAILED = State("✕", N_("failed"), "bad")
_CANCELLED = State("–", N_("cancelled"), "still")

STATES = {"queued": _WAITING, "running": _RUNNING, "succeeded": _SUCCEEDED, "failed": _FAILED, "cancelled": _CANCELLED}


def state_of(job: Mapping[str, Any]) -> State:
    """How a job of the API stands."""
    counts = job["request_counts"]
    if job["status"] == "running" and counts["total"] is None:
        return _COUNTING
    if job["status"] == "succeeded" and counts["failed"]:
        return _PARTLY
    return STATES[job["status"]]
