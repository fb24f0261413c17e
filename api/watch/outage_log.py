"""Telling operators of an outage: its first failure, how many more there are every few seconds, and its end."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from shared.errors import DatabaseFull, DatabaseUnavailable
from shared.logging import get_logger

log = get_logger(__name__)

_REPORT_SECONDS = 5.0  # between two lines about one outage, and how long there is no failure when it is over
# For which a write that found no room on the disk counts where none follows: a balancer that sends nothing to a gateway
# which is not ready would never let it find out that there is room again.
_FULL_SECONDS = 60.0


class OutageLog:
    """A line per failed call would be thousands a second, of which one is worth reading."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._last = 0.0
        self._reported = 0.0
        self._failures = 0  # in this outage
        self._unreported = 0
        self._full_since: datetime | None = None
        self._last_full = 0.0

    @property
    def full_since(self) -> datetime | None:
        """Since when PostgreSQL's disk is full, as far as writes have told; None while there is room."""
        if self._full_since is not None and time.monotonic() - self._last_full > _FULL_SECONDS:
            self._full_since = None
        return self._full_since

    def note(self, error: DatabaseUnavailable, **where: str) -> None:
        """Something failed because PostgreSQL is away; `where` goes into the log, if this one does."""
        now = self._last = time.monotonic()
        if isinstance(error, DatabaseFull):
            self._full_since, self._last_full = self.full_since or datetime.now(UTC), now
        self._failures += 1
        self._unreported += 1
        if self._began is None:
            self._began = now
        elif now - self._reported < _REPORT_SECONDS:
            return
        log.warning("database_unavailable", error=str(error), failures=self._unreported, **where)
        self._reported, self._unreported = now, 0

    def note_success(self) -> None:
        """PostgreSQL has answered; where nothing has failed for a while the outage is over.

        While its disk is full it answers, too: then a write tells of the end.
        """
        if self._began is None or self.full_since is not None:
            return
        if time.monotonic() - self._last >= _REPORT_SECONDS:
            seconds = round(self._last - self._began, 1)
            log.warning("database_available", failures=self._failures, outage_seconds=seconds)
            self._began, self._failures, self._unreported = None, 0, 0

    def note_write(self) -> None:
        """A job was accepted: there is room on PostgreSQL's disk."""
        self._full_since = None
