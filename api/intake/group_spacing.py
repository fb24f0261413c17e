"""How far apart groups of single jobs are committed: a group costs about the same whatever its size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

_FULL = 8  # jobs in a group after which the next one waits the whole linger
_ENOUGH = 32  # jobs in a group that already cost little each
_COMPANY = 16  # jobs that are never too few to be committed together
_ON_TIME = 0.02  # seconds in which an idle worker answers a group
_LONGEST = 4  # lingers between two groups when answers are late,
_LONGEST_SECONDS = 0.25  # and no more than this where lingers are long: calls have a deadline
_LOST = 5.0  # seconds after which an answer is no longer waited for: its notice may be lost


class GroupSpacing:
    """When the next group may be committed, by the size of the last and by how late answers are.

    While workers keep up, the linger bounds the wait, in proportion for groups of a few. While they do not, because
    they score bulk batches too or because groups come faster than they are scored, small groups would only add to the
    queue: the next waits as long as the oldest group has waited for its answer, up to four lingers, and grows.
    """

    def __init__(self, linger_seconds: float) -> None:
        self._linger = linger_seconds
        self._longest = max(linger_seconds, min(linger_seconds * _LONGEST, _LONGEST_SECONDS))
        self._unanswered: dict[int, float] = {}  # by batch id, oldest first: when it was sent
        self._lock = threading.Lock()  # groups are sent from the thread that commits them

    def sent(self, batch_ids: Iterable[int]) -> None:
        """These batches are committed, and about to be published."""
        now = time.monotonic()
        with self._lock:
            self._forget_lost(now)
            for batch_id in batch_ids:
                self._unanswered[batch_id] = now

    def answered(self, batch_id: int) -> None:
        """A worker says that it has finished a batch, of whichever gateway."""
        with self._lock:
            self._unanswered.pop(batch_id, None)

    def spacing(self, size: int) -> float:
        """Seconds from the end of a group of `size` jobs until the next may be committed."""
        company = self._linger * min(1.0, size / _FULL) if size > 1 else 0.0
        if size >= _ENOUGH:
            return company
        return max(company, min(self._longest, self._lateness()))

    def enough(self, size: int) -> float:
        """How many jobs need not wait for more after a group of `size`.

        As many as the last group had, and a few at least: callers who wait for their answer before they ask again have
        all come back then, and to wait on would only keep them from it. While answers are late a group must be one that
        costs its workers little, too: they claim several of these at once.
        """
        return max(_COMPANY if self._lateness() == 0 else _ENOUGH, size)

    def _lateness(self) -> float:
        now = time.monotonic()
        with self._lock:
            self._forget_lost(now)
            oldest = next(iter(self._unanswered.values()), now)
        return max(0.0, now - oldest - _ON_TIME)

    def _forget_lost(self, now: float) -> None:
        while self._unanswered:
            oldest = next(iter(self._unanswered))
            if now - self._unanswered[oldest] < _LOST:
                return
            del self._unanswered[oldest]
