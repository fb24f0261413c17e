"""Uploads of client keys, or of features: read block by block at C speed and spooled to disk.

Memory stays flat. Nothing touches the database before the last byte has come, so that a slow or dead client holds no
transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from typing import IO, Self

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.http.problems import SILENT_UPLOAD, TOO_LARGE, Flaw, Invalid, Problem
from shared.jobs.key_pages import KeyPage
from shared.uploads.key_lines import KeyLines
from shared.uploads.reader import KeyReader
from shared.uploads.refusals import UploadRefused

_IN_MEMORY = 1_000_000  # bytes that are spooled in memory before a file is made
_PIECE = 1 << 18  # bytes that are read from the spool at once
_PAGE_BYTES = 8_000_000  # of features in a page, which a worker opens as a whole


class Upload:
    """Rows as they come in; afterwards their number, their hash, and themselves.

    With `has_features` the hash is of the bytes as they came: what becomes of them depends on the model.
    """

    def __init__(self, reader: KeyReader, *, max_rows: int, has_features: bool = False) -> None:
        """`reader` gives features exactly if `has_features`."""
        self._reader = reader
        self._max_rows = max_rows
        self._has_features = has_features
        self._given: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._given_bytes = 0
        self._widest = 1.0  # bytes of features per row, where they are most
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._spellings: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - as above
        self._hash = hashlib.sha256()
        self._blank_lines = 0
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()
        self._spellings.close()
        self._given.close()

    async def receive_all(self, receive: Receive, *, silence_seconds: float) -> None:
        """Take the whole body. Raises Problem 408 after so long a silence, 413 or 422; ClientDisconnect."""
        while True:
            try:
                async with asyncio.timeout(silence_seconds):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    SILENT_UPLOAD, f"Nothing came for {silence_seconds:g} s. Send the upload again."
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            has_ended = not message.get("more_body", False)
            for _ in self.steps(message.get("body", b""), is_last=has_ended):
                await asyncio.sleep(0)  # a block costs a millisecond or two, and others wait for this thread
            if has_ended:
                return

    def steps(self, piece: bytes, *, is_last: bool = False) -> Iterator[None]:
        """Take the next bytes of the body, a block at each step. Raises Problem 413 or 422."""
        if self._has_features:
            self._hash.update(piece)
        try:
            for found in self._reader.feed(piece):
                self._keep(found)
                yield
            if is_last:
                for found in self._reader.finish():
                    self._keep(found)
        except UploadRefused as refused:
            raise Invalid(*(Flaw(f"/line/{fault.line}", fault.code, str(fault)) for fault in refused.faults)) from None

    def pages(self, rows: int) -> Iterator[KeyPage]:
        """The keys in order, `rows` at a time; from the start at each call.

        Lines are counted and commas put in by the piece: no Python object is made for a key that is written as it is
        shown. How the others were written lies in a spool of its own.
        """
        self._spellings.seek(0)
        spellings = _Spellings(self._spellings)
        arrays = zip_longest(_arrays(self._spool, rows), _arrays(self._given, rows))
        for number, (keys, given) in enumerate(arrays):
            yield KeyPage(keys, spellings.of_page(number * rows, rows), given)

    def rows_of_a_page(self, most: int) -> int:
        """How many rows of features make a page of some 8 MB and surely no more than 32, at most `most`."""
        average = max(1.0, self._given_bytes / max(1, self.count))
        return max(1, min(most, int(_PAGE_BYTES / average), int(4 * _PAGE_BYTES / self._widest)))

    @property
    def digest(self) -> str:
        """SHA-256 of the keys, one per line, or of the bytes of features, in hex."""
        return self._hash.hexdigest()

    def _keep(self, found: KeyLines) -> None:
        for row, written in found.spelled.items():
            self._spellings.write(b"%d %b\n" % (self.count + row, orjson.dumps(written)))
        self.count += found.count
        self._blank_lines += found.blank_lines
        if self.count > self._max_rows or self._blank_lines > self._max_rows:
            detail = f"An upload may hold {self._max_rows:,} rows, and as many blank lines. Cut it into several."
            raise Problem(TOO_LARGE, detail)
        if not self._has_features:
            self._hash.update(found.lines)
        self._spool.write(found.lines)
        if found.given:
            self._given.write(found.given)
            self._given_bytes += len(found.given)
            self._widest = max(self._widest, len(found.given) / found.count)


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
