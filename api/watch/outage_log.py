"""Telling operators of an outage: its first failure, how many more there are every few seconds, and its end."""

from __future__ import annotations

import time

from shared.errors import DatabaseUnavailable
from shared.logging import get_logger

log = get_logger(__name__)

_REPORT_SECONDS = 5.0  # between two lines about one outage, and how long there is no failure when it is over


class OutageLog:
    """A line per failed call would be thousands a second, of which one is worth reading."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._last = 0.0
        self._reported = 0.0
        self._failures = 0  # in this outage
        self._unreported = 0

    def note(self, error: DatabaseUnavailable, **where: str) -> None:
        """Something failed because PostgreSQL is away; `where` goes into the log, if this one does."""
        now = self._last = time.monotonic()
        self._failures += 1
        self._unreported += 1
        if self._began is None:
            self._began = now
        elif now - self._reported < _REPORT_SECONDS:
            return
        log.warning("database_unavailable", error=str(error), failures=self._unreported, **where)
        self._reported, self._unreported = now, 0

    def note_success(self) -> None:
        """PostgreSQL has answered; where nothing has failed for a while the outage is over."""
        if self._began is not None and time.monotonic() - self._last >= _REPORT_SECONDS:
            seconds = round(self._last - self._began, 1)
            log.warning("database_available", failures=self._failures, outage_seconds=seconds)
            self._began, self._failures, self._unreported = None, 0, 0
