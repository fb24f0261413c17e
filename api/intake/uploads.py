"""Uploads of client ids: checked piece by piece at C speed and spooled to disk, so that memory stays flat.

Nothing touches the database before the last byte has come: a slow or dead client holds no transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from typing import IO, Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.http.problems import SILENT_UPLOAD, TOO_LARGE, Flaw, Invalid, Problem
from api.intake.id_files import BadRows, RowReader
from shared.jobs.key_pages import KeyPage

_IN_MEMORY = 1_000_000  # bytes that are spooled in memory before a file is made
_PIECE = 1 << 18  # bytes that are read from the spool at once
_LONGEST_RECORD = 1_000_000  # bytes without an end of line that are taken for one record


class Upload:
    """Client ids as they come in; afterwards their number, their hash, and themselves."""

    def __init__(self, reader: RowReader, *, max_rows: int) -> None:
        self._reader = reader
        self._max_rows = max_rows
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._hash = hashlib.sha256()
        self._rest = b""
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

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
            self.feed(message.get("body", b""))
            if not message.get("more_body", False):
                self.finish()
                return

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body. Raises Problem 413 or 422."""
        data = self._rest + piece
        end = self._reader.complete(data)
        self._rest = data[end:]
        if end:
            self._take(data[:end])
        if len(self._rest) > _LONGEST_RECORD:
            raise Invalid(Flaw("", "record_too_long", f"A record after row {self.count:,} has no end."))

    def finish(self) -> None:
        """The body has ended: its last line may lack an end."""
        if self._rest:
            self._take(self._rest + b"\n")
            self._rest = b""

    def pages(self, rows: int) -> Iterator[KeyPage]:
        """The ids in order, `rows` at a time, separated by commas; from the start at each call.

        Lines are counted and commas put in by the piece: no Python object is made for an id.
        """
        self._spool.seek(0)
        data, lines = b"", 0
        while piece := self._spool.read(_PIECE):
            data += piece
            lines += piece.count(b"\n")
            start = 0
            while lines >= rows:
                end = _end_of_lines(data, start, rows)
                yield KeyPage(data[start : end - 1].replace(b"\n", b","))
                start = end
                lines -= rows
            data = data[start:]
        if data:
            yield KeyPage(data[:-1].replace(b"\n", b","))

    @property
    def digest(self) -> str:
        """SHA-256 of the ids, one per line, in hex."""
        return self._hash.hexdigest()

    def _take(self, data: bytes) -> None:
        try:
            lines = self._reader.read(data)
        except BadRows as bad:
            raise Invalid(*bad.flaws) from None
        self.count += lines.count(b"\n")
        if self.count > self._max_rows:
            raise Problem(TOO_LARGE, f"An upload may hold {self._max_rows:,} rows. Cut it into several.")
        self._hash.update(lines)
        self._spool.write(lines)


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
