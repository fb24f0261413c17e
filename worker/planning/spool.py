"""The spool: keys that were read and cannot be written yet, in files without a name that end with the process.

The driver's COPY hands over one row at a time. A BufferedWriter takes them in at C speed and passes them on in pieces
to `write` here: a Python function per row would cost more than PostgreSQL needs for it.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from worker.temporary_room import named_when_full

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PIECE_BYTES = 64 * 1024  # rows of about this size are handed over at a time
_FILE_BYTES = 8 * 1024 * 1024  # a file that is read to its end is gone: the disk is used up to the bound, and no more


def _unnamed_file() -> IO[bytes]:
    return TemporaryFile(prefix="predictq-plan-", buffering=0)


def _write_whole(number: int, data: bytes, offset: int) -> None:
    """Write all of it: a disk that is nearly full takes a part first, and refuses the rest."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(number, rest, offset)
        rest, offset = rest[written:], offset + written


@dataclass(slots=True)
class _File:
    content: IO[bytes] = field(default_factory=_unnamed_file)
    written: int = 0
    taken: int = 0


class KeySpool(io.RawIOBase):
    """A queue of lines between the thread that reads the source and the one that writes pages.

    It holds about `most_bytes`. When it is full, `write` waits; when it has waited for `patience_seconds` in all, it
    takes nothing more and `is_cut_short` says so: the source's transaction must not stay open for as long as we like.
    """

    def __init__(self, most_bytes: int, *, patience_seconds: float) -> None:
        self._most_bytes = most_bytes
        self._patience = patience_seconds
        self._files: deque[_File] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._never_waits = False
        self._drops = False
        self.rows = 0  # lines that came in since the beginning
        self.last_arrival = time.monotonic()
        self.is_cut_short = False
        self.is_ended = False
        self.failure: Exception | None = None
        self.incoming = io.BufferedWriter(self, _PIECE_BYTES)  # where the driver writes to

    @property
    def is_whole(self) -> bool:
        """Whether the reading has ended, and all that it gave was taken in."""
        return self.is_ended and self.failure is None and not self._drops

    def writable(self) -> bool:
        """For io: yes."""
        return True

    def write(self, piece: ReadableBuffer, /) -> int:
        """Take in lines; waits while the spool is full. Raises NoTemporaryRoom."""
        data = bytes(piece)
        with self._changed:
            self._wait_for_space()
            if not self._drops:
                self._append(data)
                self.rows += data.count(b"\n")
                self.last_arrival = time.monotonic()
                self._changed.notify_all()
        return len(data)

    def _wait_for_space(self) -> None:
        while self._bytes >= self._most_bytes and not (self._never_waits or self._drops):
            started = time.monotonic()
            self._changed.wait(self._patience)
            self._patience -= time.monotonic() - started
            if self._patience <= 0:
                self.is_cut_short = self._drops = True

    def _append(self, data: bytes) -> None:
        if not self._files or self._files[-1].written >= _FILE_BYTES:
            self._files.append(_File())
        file = self._files[-1]
        with named_when_full():
            _write_whole(file.content.fileno(), data, file.written)
        file.written += len(data)
        self._bytes += len(data)

    def take(self, most_bytes: int) -> bytes:
        """The oldest bytes, perhaps fewer than there are; empty where there is none."""
        with self._changed:
            if not self._bytes:
                return b""
            file = self._files[0]
            data = os.pread(file.content.fileno(), min(most_bytes, file.written - file.taken), file.taken)
            file.taken += len(data)
            self._bytes -= len(data)
            if file.taken == file.written:
                self._reuse_or_remove(file)
            self._changed.notify_all()
            return data

    def _reuse_or_remove(self, file: _File) -> None:
        if len(self._files) > 1:
            self._files.popleft().content.close()
        else:
            file.written = file.taken = 0

    def wait_for_more(self, seconds: float) -> None:
        """Wait for lines, or for the end of the reading."""
        with self._changed:
            if self.is_ended:
                return
            seen = self.rows
            self._changed.wait_for(lambda: self.is_ended or self.rows > seen, seconds)
            # While `write` waits for space it holds the lock of the BufferedWriter, which the flush needs.
            self._never_waits = True
            self._changed.notify_all()
        self.incoming.flush()  # a slow source gives few rows, which would lie there
        with self._changed:
            self._never_waits = False

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more comes."""
        if failure is None:
            self.incoming.flush()
        with self._changed:
            self.failure = None if self._drops else failure  # it was stopped
            self.is_ended = True
            self._changed.notify_all()

    def drop(self) -> None:
        """Take nothing more: whoever writes goes on as if it were taken, until it is told to stop."""
        with self._changed:
            self._drops = True
            self._changed.notify_all()

    def discard(self) -> None:
        """Give the disk back."""
        self.drop()
        with self._changed:
            while self._files:
                self._files.popleft().content.close()
