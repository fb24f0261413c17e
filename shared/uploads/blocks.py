"""Cutting a stream of bytes into blocks of whole records, wherever the network has cut it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from shared.uploads.refusals import LineFault, UploadRefused

BLOCK_BYTES = 65_536  # parsed at a time, and the longest record with its line end
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RecordEnds(Protocol):
    """What a format knows of its records."""

    def end_of_records(self, block: bytes) -> int:
        """How many bytes at the beginning of `block` are whole records; 0 when there is none."""

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:
        """Why no record ends in `block`, which begins with line `line` and is as long as a record may be."""


class Blocks:
    """Whole records, at most BLOCK_BYTES at a time.

    A block begins where the one before ended, and is cut at a place that only its own bytes decide. So whatever is made
    of the blocks depends on the content of the stream and not on the pieces in which it came.
    """

    def __init__(self, ends: RecordEnds) -> None:
        self._ends = ends
        self._waiting = bytearray()
        self.lines = 0  # ended before what waits

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """The blocks that `piece` completes, each with the number of its first line. Raises UploadRefused."""
        self._waiting += piece
        while len(self._waiting) >= BLOCK_BYTES:
            block = bytes(self._waiting[:BLOCK_BYTES])
            end = self._ends.end_of_records(block)
            if not end:
                raise UploadRefused([self._ends.fault_of_endless(block, self.lines + 1)])
            del self._waiting[:end]
            yield self._numbered(block[:end])

    def finish(self) -> Iterator[tuple[int, bytes]]:
        """What is left at the end of the stream: its last line may lack its end, which is put there."""
        block = bytes(self._waiting)
        self._waiting.clear()
        if block:
            # A carriage return alone is no end of line, and must not become one.
            yield self._numbered(block if block.endswith((b"\n", b"\r")) else block + b"\n")

    def discard(self) -> None:
        """Give the memory back."""
        self._waiting = bytearray()

    def _numbered(self, block: bytes) -> tuple[int, bytes]:
        first = self.lines + 1
        self.lines += block.count(b"\n")
        return first, block.removeprefix(BYTE_ORDER_MARK) if first == 1 else block
