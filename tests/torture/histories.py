"""What each client was, and when: worked out from the ledger, so that the features in a page can be held against it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tests.torture.ledger import Event
from tests.torture.population import Features, initial

Interval = tuple[float, float]  # seconds since the epoch; a moment within it is meant


@dataclass
class Version:
    """One state of a client. It could be read from `first` (its change was sent) to `last` (the next was committed)."""

    features: Features | None  # None: there was no such client
    first: float
    last: float = math.inf


class Histories:
    """The versions of all clients."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._changed: dict[int, list[Version]] = {}
        sent: dict[int, Event] = {}
        for event in events:
            if event["what"] == "change":
                sent[event["number"]] = event
                self._begin(event)
            elif event["what"] == "changed":
                self._end_earlier(sent[event["number"]], event["committed"])

    def versions(self, client: int) -> list[Version]:
        """All that this client ever was, oldest first."""
        return self._changed.get(client) or [Version(initial(client), -math.inf)]

    def when(self, client: int, features: Features | None) -> list[Interval]:
        """The times at which the client could be read like that; empty when it never was."""
        return [(version.first, version.last) for version in self.versions(client) if version.features == features]

    def newest(self, client: int) -> list[Features | None]:
        """What the client may be now: more than one where a change failed and may have been committed all the same."""
        return [version.features for version in self.versions(client) if version.last == math.inf]

    def changed(self) -> Iterable[int]:
        """The clients that were ever changed."""
        return self._changed.keys()

    def _begin(self, event: Event) -> None:
        for client, features in zip(event["clients"], event["features"], strict=True):
            versions = self._changed.setdefault(client, [Version(initial(client), -math.inf)])
            versions.append(Version(None if features is None else Features(*features), event["sent"]))

    def _end_earlier(self, event: Event, committed: float) -> None:
        """A committed change ends all versions before it; one that failed may be over, or never have been."""
        for client in event["clients"]:
            *earlier, _ = self._changed[client]
            for version in earlier:
                version.last = min(version.last, committed)


def meet(some: list[Interval], others: list[Interval]) -> list[Interval]:
    """The times that are in one interval of each list."""
    both = [(max(a, c), min(b, d)) for a, b in some for c, d in others]
    return [(first, last) for first, last in both if first <= last]
