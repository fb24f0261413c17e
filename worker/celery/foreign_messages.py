"""Messages in Redis that are not ours: dropped, counted, and said in one short line, however many come."""

from __future__ import annotations

import time

from shared.logging import get_logger
from worker import metrics

log = get_logger(__name__)

_PAUSE_SECONDS = 10.0


class ForeignMessages:
    """Told of each message that was dropped, by the place that it was in; the log hears of it every ten seconds."""

    def __init__(self) -> None:
        self._untold = 0
        self._silent_until = 0.0

    def __call__(self, place: str) -> None:
        """One message, which nobody will see."""
        metrics.FOREIGN_MESSAGES.labels(place).inc()
        self._untold += 1
        if time.monotonic() >= self._silent_until:
            log.warning("messages that are not ours were dropped", place=place, messages=self._untold)
            self._untold, self._silent_until = 0, time.monotonic() + _PAUSE_SECONDS
