"""Cutting rows into pages: how many go into the next one is decided before anybody knows how many there are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from shared.jobs.accepting.bulk import rows_per_batch
from shared.jobs.planning import PlannedPage
from shared.sources.description import PAGE_BYTES
from worker.planning.spool import KeySpool

FIRST_ROWS = 1_000  # of a job: it is answered while the others are still written
_FIRST_LINGER_SECONDS = 0.1  # how long the first page waits for so many
_LINGER_SECONDS = 2.0  # how long any other page waits until it is full
TAKE_BYTES = 256 * 1024


class PageCutter(ABC):
    """Takes pages out of a spool, in its order. `planned` rows of the job were written before."""

    def __init__(self, spool: KeySpool, *, planned: int, most_rows: int) -> None:
        self._spool = spool
        self.planned = planned
        self._most_rows = most_rows
        self._cut = 0  # rows, of this spool
        self._incomplete_since: float | None = None

    @property
    def ahead(self) -> int:
        """Rows that were read and are in no page yet."""
        return self._spool.rows - self._cut

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to cut, and nothing will come."""
        return self._spool.is_ended and self.ahead == 0

    def next_page(self) -> PlannedPage | None:
        """The next page; None while too few rows have come for it, and when there is none."""
        is_ended = self._spool.is_ended  # before the rows are looked at: they do not change any more, then
        ahead = self.ahead
        wanted = self._wanted(ahead, is_ended=is_ended)
        if ahead < wanted and not is_ended and not self._has_waited(ahead):
            return None
        self._incomplete_since = None
        return self._take(min(wanted, ahead)) if ahead else None

    def _wanted(self, ahead: int, *, is_ended: bool) -> int:
        """What `rows_per_batch` says of the rows known so far: it grows with them, and is right once all are known."""
        if self.planned == 0 and not is_ended:
            return min(FIRST_ROWS, self._most_rows)
        return rows_per_batch(self.planned + ahead, most=self._most_rows)

    def _has_waited(self, ahead: int) -> bool:
        now = time.monotonic()
        if ahead == 0:
            return False
        if self._incomplete_since is None:
            self._incomplete_since = now
        return now - self._incomplete_since >= (_LINGER_SECONDS if self.planned else _FIRST_LINGER_SECONDS)

    @abstractmethod
    def _take(self, rows: int) -> PlannedPage | None:
        """The page of the next rows, so many at most, of which `ahead` are there; None where they make none."""


class LineCutter(PageCutter):
    """Cuts a spool in which each line is a row of its own."""

    def __init__(self, spool: KeySpool, *, planned: int, most_rows: int) -> None:
        super().__init__(spool, planned=planned, most_rows=most_rows)
        self._text = b""  # taken from the spool, not cut yet
        self._lines = 0  # in it

    def _take(self, rows: int) -> PlannedPage | None:
        while self._lines < rows and (self._lines == 0 or len(self._text) < PAGE_BYTES):
            taken = self._spool.take(TAKE_BYTES)
            self._text += taken
            self._lines += taken.count(b"\n")
        average = max(1, len(self._text) // self._lines)
        return self._page(self._cut_off(max(1, min(rows, self._lines, PAGE_BYTES // average))))

    def _cut_off(self, rows: int) -> list[bytes]:
        """The next lines, so many."""
        *lines, self._text = self._text.split(b"\n", rows)
        self._lines -= rows
        self._cut += rows
        return lines

    @abstractmethod
    def _page(self, lines: list[bytes]) -> PlannedPage | None:
        """The page of these lines; None where they make none."""
