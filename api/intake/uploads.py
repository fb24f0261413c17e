"""Uploads of client keys, or of features: read block by block at C speed and spooled to disk.

Memory stays flat. Nothing touches the database before the last byte has come, so that a slow or dead client holds no
transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from api.http.problems import TOO_LARGE, Flaw, Invalid, Problem
from api.intake.key_spool import KeySpool
from api.server.turns import Turns
from shared.sentences import retold
from shared.sources.description import PAGE_BYTES
from shared.uploads.key_lines import KeyLines
from shared.uploads.reader import KeyReader
from shared.uploads.refusals import LineFault, UploadRefused


class HashedBody:
    """The body of a call, with the SHA-256 of its bytes as they came: what becomes of them depends on the model."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._has_ended = False

    async def receive(self) -> Message:
        """The next message, as ASGI has it."""
        message = await self._receive()
        self._hash.update(message.get("body", b""))
        self._bytes += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        return message

    async def take_rest(self, *, most_bytes: int) -> bool:
        """Wait for what has not come yet; False, at once, where the whole is longer. Raises ClientDisconnect."""
        while not self._has_ended and self._bytes <= most_bytes:
            if (await self.receive())["type"] == "http.disconnect":
                raise ClientDisconnect
        return self._bytes <= most_bytes

    def digest(self) -> str:
        """In hex, of all that has come."""
        return self._hash.hexdigest()


class Upload:
    """Rows as they come in; afterwards their number and themselves."""

    def __init__(self, reader: KeyReader, *, max_rows: int) -> None:
        self._reader = reader
        self._max_rows = max_rows
        self._blank_lines = 0
        self.rows = KeySpool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.rows.__exit__(*error)

    @property
    def count(self) -> int:
        """How many rows there are so far."""
        return self.rows.count

    async def receive_all(self, receive: Receive, turns: Turns, key: str) -> None:
        """Take the whole body, a block at each turn of the API key. The wire ends one that comes too slowly.

        Raises Problem 413 or 422; ClientDisconnect.
        """
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            has_ended = not message.get("more_body", False)
            await turns.run(self.steps(message.get("body", b""), is_last=has_ended), key)
            if has_ended:
                return

    def steps(self, piece: bytes, *, is_last: bool = False) -> Generator[None, None, None]:
        """Take the next bytes of the body, a block at each step. Raises Problem 413 or 422."""
        try:
            for found in self._reader.feed(piece):
                self._keep(found)
                yield
            if is_last:
                for found in self._reader.finish():
                    self._keep(found)
                    yield
        except UploadRefused as refused:
            raise Invalid(*map(_flaw, refused.faults)) from None

    def rows_of_a_page(self, most: int) -> int:
        """How many rows of features make a page of some 8 MB and surely no more than 32, at most `most`."""
        average = max(1.0, self.rows.given_bytes / max(1, self.count))
        return max(1, min(most, int(PAGE_BYTES / average), int(4 * PAGE_BYTES / self.rows.widest)))

    def _keep(self, found: KeyLines) -> None:
        self._blank_lines += found.blank_lines
        if self.count + found.count > self._max_rows or self._blank_lines > self._max_rows:
            detail = f"An upload may hold {self._max_rows:,} rows, and as many blank lines. Cut it into several."
            raise Problem(TOO_LARGE, detail)
        self.rows.keep(found)


def _flaw(fault: LineFault) -> Flaw:
    return Flaw(f"/line/{fault.line}", fault.code, retold(fault.detail, str(fault), line=fault.line))
