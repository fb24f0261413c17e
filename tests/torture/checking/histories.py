"""What each client was, and when: worked out from the ledger, so that answers can be held against it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from tests.torture.checking.ledger import Event
from tests.torture.population import Features, initial

Interval = tuple[float, float]  # seconds since the epoch; a moment within it is meant


@dataclass(slots=True)
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
            elif event["what"] == "undone":
                for client in sent[event["number"]]["clients"]:
                    self._changed[client].pop()
        self._firsts = {client: [version.first for version in versions] for client, versions in self._changed.items()}

    def versions(self, client: int) -> list[Version]:
        """All that this client ever was, oldest first."""
        return self._changed.get(client) or [_unchanged(client)]

    def within(self, client: int, moments: Interval) -> list[Version]:
        """What the client could be read as at some moment of these, newest first."""
        if moments[0] > moments[1]:
            return []
        versions = self._changed.get(client)
        if versions is None:
            return [_unchanged(client)]
        found = []
        place = bisect_right(self._firsts[client], moments[1])
        while place and versions[place - 1].last >= moments[0]:  # `last` rises with `first`
            place -= 1
            found.append(versions[place])
        return found

    def when(self, client: int, features: Features | None) -> list[Interval]:
        """The times at which the client could be read like that; empty when it never was."""
        return [(version.first, version.last) for version in self.versions(client) if version.features == features]

    def newest(self, client: int) -> list[Features | None]:
        """What the client may be now: more than one where nobody could find out whether a change had been made."""
        return [version.features for version in self.versions(client) if version.last == math.inf]

    def changed(self) -> Iterable[int]:
        """The clients that were ever changed."""
        return self._changed.keys()

    def _begin(self, event: Event) -> None:
        for client, features in zip(event["clients"], event["features"], strict=True):
            versions = self._changed.setdefault(client, [Version(initial(client), -math.inf)])
            versions.append(Version(None if features is None else Features(*features), event["sent"]))

    def _end_earlier(self, event: Event, committed: float) -> None:
        """A committed change ends all versions before it."""
        for client in event["clients"]:
            for version in self._changed[client][-2::-1]:
                if version.last <= committed:
                    break  # those before it have ended, too
                version.last = committed


@lru_cache(maxsize=200_000)
def _unchanged(client: int) -> Version:
    return Version(initial(client), -math.inf)


def meet(some: list[Interval], others: list[Interval]) -> list[Interval]:
    """The times that are in one interval of each list."""
    both = [(max(a, c), min(b, d)) for a, b in some for c, d in others]
    return [(first, last) for first, last in both if first <= last]
