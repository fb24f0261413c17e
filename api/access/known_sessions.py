"""Which cookies of sessions were good when they were looked up last, and which have ended: of both so many."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

_REMEMBERED = 10_000  # of each kind; then the one that came longest ago is forgotten


class KnownSessions:
    """What look-ups of sessions found.

    A session that was good is looked up again whatever else comes from its address, as it may end at any time. One that
    has ended never begins again: its cookie needs no look-up, so a browser that keeps it is not taken for a guesser.
    """

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._ended: OrderedDict[bytes, None] = OrderedDict()

    def is_good(self, token: str) -> bool:
        """Whether it was, the last time."""
        return _digest(token) in self._good

    def has_ended(self, token: str) -> bool:
        """Whether it is known to be none."""
        return _digest(token) in self._ended

    def note(self, token: str, *, is_good: bool) -> None:
        """A look-up found this."""
        digest = _digest(token)
        kept, other = (self._good, self._ended) if is_good else (self._ended, self._good)
        other.pop(digest, None)
        kept[digest] = None
        kept.move_to_end(digest)
        if len(kept) > _REMEMBERED:
            kept.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
