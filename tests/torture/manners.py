"""What callers may see: 202, or 503 with Retry-After, within five seconds; never a 500, never a hang."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from tests.torture.checking.ledger import Event
from tests.torture.checking.violation import Violation

ANSWER_SECONDS = 5.0
_ROWS_PER_SECOND = 100_000  # a large job is accepted row by row: its answer may take so much longer
_LEEWAY_SECONDS = 1.0  # for a busy machine, and for the caller's own work
_DECENT = (200, 202, 404, 409, 429, 503)
_GONE = 410  # what a key is answered that is repeated after its client was erased
_POSTS = ("/v1/predict", "/v1/predict_raw", "/v1/jobs")
_TIMEOUTS = ("ReadTimeout", "ConnectTimeout", "WriteTimeout", "PoolTimeout")


@dataclass
class Seen:
    """What callers saw while one fault was injected or recovered from."""

    statuses: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0  # seconds, of the answers to POST


def seen_by_fault(events: Iterable[Event]) -> dict[str, Seen]:
    """The answers to POST, by the fault during which they came."""
    seen: dict[str, Seen] = {}
    for event in events:
        if event["what"] == "answer" and event["path"] in _POSTS:
            entry = seen.setdefault(event["fault"], Seen())
            entry.statuses[str(event["status"])] += 1
            entry.slowest = max(entry.slowest, event["seconds"])
    return seen


def check_manners(events: Iterable[Event], cut_off: AbstractSet[str]) -> Iterator[Violation]:
    """Answers that no caller should have to see. `cut_off`: faults in which callers cannot reach the gateway."""
    events = list(events)
    of_erased = _keys_of_erased(events)
    rows: dict[str, int] = {}
    for event in events:
        if event["what"] == "ask":
            rows[event["key"]] = len(event["clients"] or ())
        if event["what"] != "answer":
            continue
        status, words = event["status"], f"{event['path']} during {event['fault']}: {event['status']}"
        excused = event["fault"] in cut_off or event["began_in"] in cut_off
        if isinstance(status, int):
            if status not in (_DECENT if event["key"] not in of_erased else (*_DECENT, _GONE)):
                yield Violation("callers see 202, or 503", f"{words} {event.get('detail', '')}")
            if status in (429, 503) and not event["retry_after"]:
                yield Violation("503 bears Retry-After", words)
            patience = ANSWER_SECONDS + rows.get(event["key"], 0) / _ROWS_PER_SECOND + _LEEWAY_SECONDS
            if event["path"].count("/") == 3:
                patience += 2.0  # a GET asks with Prefer: wait=2
            if event["seconds"] > patience and not excused:
                yield Violation("an answer within 5 s", f"{words} after {event['seconds']} s")
        elif status in _TIMEOUTS and not excused:
            yield Violation("never a hang", f"{words} after {event['seconds']} s")


def _keys_of_erased(events: Iterable[Event]) -> set[str]:
    """The Idempotency-Keys of calls that named a client who was erased."""
    erased = {event["client"] for event in events if event["what"] == "erased"}
    return {
        event["key"] for event in events if event["what"] == "ask" and not erased.isdisjoint(event["clients"] or ())
    }
