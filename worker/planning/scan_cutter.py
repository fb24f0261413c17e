"""Cutting lines that bring their features along: keys of a source that is read as a whole."""

from __future__ import annotations

from collections import deque

from shared.jobs.planning import PlannedPage
from shared.sources.description import PAGE_BYTES
from worker.planning.key_lines import CanonicalLine, as_it_is, key_text
from worker.planning.page_cutter import TAKE_BYTES, PageCutter
from worker.planning.spool import KeySpool

_AMBIGUOUS = b'"null"'  # in place of a JSON object. In quotes: without them it would be no element


class ScanCutter(PageCutter):
    """Cuts lines of key and features. A key of several lines is one row without features, which is ambiguous.

    So the last line is kept until another key has come, or all were read: a part of a key's lines would be scored as
    if it were all. Wide rows make smaller pages.
    """

    def __init__(self, spool: KeySpool, *, planned: int, most_rows: int, canonical: CanonicalLine = as_it_is) -> None:
        super().__init__(spool, planned=planned, most_rows=most_rows)
        self._canonical = canonical
        self._rest = b""  # the beginning of a line
        self._open: tuple[bytes, bytes] | None = None  # the last key that came, of which more lines may come
        self._ready: deque[tuple[bytes, bytes]] = deque()  # keys of which all lines have come
        self._bytes = 0  # of these

    def _take(self, rows: int) -> PlannedPage | None:
        ready = self._ready
        while len(ready) < rows and (not ready or self._bytes < PAGE_BYTES) and self._read():
            pass
        if not ready:
            return None
        page = [ready.popleft()]
        width = _width(page[0])
        while ready and len(page) < rows and width + _width(ready[0]) <= PAGE_BYTES:
            width += _width(ready[0])
            page.append(ready.popleft())
        self._bytes -= width
        self._cut += len(page)
        self.planned += len(page)
        keys, given = zip(*page, strict=True)
        return PlannedPage(b",".join(keys), len(page), key_text(keys[-1]), b",".join(given))

    def _read(self) -> bool:
        """Take lines out of the spool; False where none are there."""
        is_ended = self._spool.is_ended  # before it is looked at
        taken = self._spool.take(TAKE_BYTES)
        *lines, self._rest = (self._rest + taken).split(b"\n")
        for line in lines:
            key, given = line.split(b"\t", 1)  # a tab within a value is written otherwise
            self._add(self._canonical(key), given)
        if not taken and is_ended and self._open is not None:
            self._close()
        return bool(taken)

    def _add(self, key: bytes, given: bytes) -> None:
        if self._open is None or self._open[0] != key:
            self._put_ready()
            self._open = (key, given)
        else:
            self._open = (key, _AMBIGUOUS)
            self._cut += 1

    def _close(self) -> None:
        if self._spool.is_whole:
            self._put_ready()
        else:  # more lines of this key may have come; the next reading begins with it
            self._cut += 1
        self._open = None

    def _put_ready(self) -> None:
        if self._open is not None:
            self._ready.append(self._open)
            self._bytes += _width(self._open)


def _width(row: tuple[bytes, bytes]) -> int:
    return len(row[0]) + len(row[1])
