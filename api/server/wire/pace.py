"""How many calls that cost a caller nothing one address may make before its next ones are read later.

A refusal, a look at health or metrics: it needs no key, and takes a turn of the event loop. Sixteen connections that
were refused as fast as they could ask left every other call waiting for their turns.
"""

from __future__ import annotations

_MOST_SECONDS = 1.0  # that a call is read later


class Pace:
    """A second's worth of calls at once; what goes beyond waits, so that on average no more come in a second."""

    def __init__(self, per_second: int) -> None:
        self._seconds = 1 / per_second  # that each call takes of an address's time
        self._until: dict[str, float] = {}  # until when the calls of an address have used its time

    def __len__(self) -> int:
        return len(self._until)

    def wait(self, origin: str, now: float) -> float:
        """After one more such call at `now`: how many seconds later the next call of its connection shall be read."""
        until = min(max(now, self._until.get(origin, 0.0)) + self._seconds, now + 1.0 + _MOST_SECONDS)
        self._until[origin] = until
        return max(0.0, until - now - 1.0)

    def forget(self, now: float) -> None:
        """Drop the addresses that have all of their time again."""
        self._until = {origin: until for origin, until in self._until.items() if until > now}
