"""Client keys, and the features that came with them, on disk until their job is accepted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from typing import IO, Self

import orjson

from shared.jobs.accepting.key_pages import KeyPage
from shared.uploads.key_lines import KeyLines

_IN_MEMORY = 131_072  # bytes that are spooled in memory before a file is made
_PIECE = 1 << 18  # bytes that are read from the spool at once


class KeySpool:
    """Rows in order, as they are kept; afterwards their number, and themselves."""

    def __init__(self) -> None:
        self._keys: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._given: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - as above
        self._spellings: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - as above
        self.count = 0
        self.given_bytes = 0
        self.widest = 1.0  # bytes of features per row, where they are most

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keys.close()
        self._spellings.close()
        self._given.close()

    def keep(self, found: KeyLines) -> None:
        """Add rows."""
        for row, written in found.spelled.items():
            self._spellings.write(b"%d %b\n" % (self.count + row, orjson.dumps(written)))
        self.count += found.count
        self._keys.write(found.lines)
        if found.given:
            self._given.write(found.given)
            self.given_bytes += len(found.given)
            self.widest = max(self.widest, len(found.given) / found.count)

    def pages(self, rows: int) -> Iterator[KeyPage]:
        """The keys in order, `rows` at a time; from the start at each call.

        Lines are counted and commas put in by the piece: no Python object is made for a key that is written as it is
        shown. How the others were written lies in a spool of its own.
        """
        self._spellings.seek(0)
        spellings = _Spellings(self._spellings)
        arrays = zip_longest(_arrays(self._keys, rows), _arrays(self._given, rows))
        for number, (keys, given) in enumerate(arrays):
            yield KeyPage(keys, spellings.of_page(number * rows, rows), given)


def _arrays(spool: IO[bytes], rows: int) -> Iterator[bytes]:
    """The lines of a spool as elements of arrays, so many at a time."""
    spool.seek(0)
    data, lines = b"", 0
    while piece := spool.read(_PIECE):
        data += piece
        lines += piece.count(b"\n")
        start = 0
        while lines >= rows:
            end = _end_of_lines(data, start, rows)
            yield data[start : end - 1].replace(b"\n", b",")
            start = end
            lines -= rows
        data = data[start:]
    if data:
        yield data[:-1].replace(b"\n", b",")


class _Spellings:
    """How keys were written, row by row in rising order: the number of the row, a blank, and JSON on each line."""

    def __init__(self, lines: IO[bytes]) -> None:
        self._lines = lines
        self._next = self._read()

    def of_page(self, first: int, rows: int) -> bytes | None:
        """Those of `rows` rows from `first` on as a JSON object by row of the page; None where there is none."""
        members = []
        while self._next is not None and self._next[0] < first + rows:
            row, written = self._next
            members.append(b'"%d":%b' % (row - first, written))
            self._next = self._read()
        return b"{%b}" % b",".join(members) if members else None

    def _read(self) -> tuple[int, bytes] | None:
        line = self._lines.readline()
        if not line:
            return None
        row, _, written = line.rstrip(b"\n").partition(b" ")
        return int(row), written


def _end_of_lines(data: bytes, start: int, lines: int) -> int:
    """Where the first `lines` lines from `start` end; there are as many at least."""
    end = len(data)
    while end - start > 1:  # the end of the last one lies in data[start:end], with `lines` ends of line
        middle = (start + end) // 2
        before = data.count(b"\n", start, middle)
        if before < lines:
            start, lines = middle, lines - before
        else:
            end = middle
    return end
