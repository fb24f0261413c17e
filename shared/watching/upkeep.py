"""What needs a person about the upkeep, and its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.sentences import count_of
from shared.storage.upkeep_state import DutyState, failing_duties

# After which nobody can be at work: of the duties that do not wait for others one runs every second.
_SILENT_SECONDS = 600.0


def upkeep_troubles(duties: Sequence[DutyState]) -> dict[str, Any] | None:
    """What is wrong, as JSON: `failing` and `late` (duties by name, and why), `silent_seconds`. None: nothing.

    `is_catching_up`: those that are late all wait for one that is at work, and has not been for long.
    `silent_seconds` are how long ago any duty ran: None while some run, and where none ever did.
    """
    newest = min((duty.seen_seconds for duty in duties), default=None)
    is_silent = newest is not None and newest > _SILENT_SECONDS
    all_late = [duty for duty in sorted(duties, key=_hanging_first) if duty.is_late]
    waits_for = {duty.name: _at_work_before(duty, duties) for duty in all_late}
    late = {duty.name: _why_late(duty, waits_for[duty.name]) for duty in all_late}
    failing = failing_duties(duties)
    if newest is not None and not late and not failing and not is_silent:
        return None
    return {
        "failing": failing,
        "late": late,
        "is_catching_up": bool(late) and all(waits_for.values()),
        "silent_seconds": newest if is_silent else None,
        "ever": bool(duties),
    }


def words_of_upkeep(about: Mapping[str, Any]) -> tuple[str, str]:
    """A sentence for an operator, and what to type next."""
    if not about["ever"]:
        return "it has never run", "predictq upkeep"
    if about["silent_seconds"] is not None:
        since = span_of(about["silent_seconds"])
        return f"it has not run for {since}: nothing goes, and no partitions are made", "predictq upkeep"
    said = [f"{name} {why}" for name, why in about["late"].items()]
    said += [f"{name} fails: {why}" for name, why in about["failing"].items()]
    advice = "read its log; it tries again by itself"
    if about["is_catching_up"]:
        advice = "it is catching up, so leave it at work; its log tells how far it is"
    elif about["late"]:
        advice = (
            "read its log: a run over much data may take hours. Where nothing moves, end that process, and start it "
            "again: predictq upkeep"
        )
    return "; ".join(said), advice


def span_of(seconds: float) -> str:
    """A span of time as people say it: "3 days"."""
    for unit, length in (("day", 86_400.0), ("hour", 3_600.0)):
        if seconds >= 2 * length:
            return count_of(int(seconds // length), unit)
    return count_of(int(seconds // 60), "minute")


def _hanging_first(duty: DutyState) -> tuple[bool, str]:
    return not duty.hangs, duty.name  # the others may wait for it


def _at_work_before(duty: DutyState, duties: Sequence[DutyState]) -> str | None:
    """The duty that a late one waits for, and that is at work no longer than it may be; None: there is none.

    Those that are done one after the other have the same patience.
    """
    if duty.running_seconds is not None or duty.is_ahead:
        return None
    beside = [one for one in duties if one.running_seconds is not None and not one.is_late]
    return next((one.name for one in beside if one.patience_seconds == duty.patience_seconds), None)


def _why_late(duty: DutyState, waits_for: str | None) -> str:
    if duty.running_seconds is not None and duty.hangs:
        return f"has been at it for {span_of(duty.running_seconds)}"
    if duty.is_ahead:
        return "ran at a time that is still to come: the clock of PostgreSQL was ahead, or is behind now"
    waits = f", and waits while {waits_for} is at work" if waits_for else ""
    return f"has not run for {span_of(duty.age_seconds)}{waits}"
