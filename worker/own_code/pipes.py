"""Both ways to a process whose code is not ours: it may take nothing, say nothing, or say too much."""

from __future__ import annotations

import os
import selectors
import time

_PIECE = 1 << 20


class Pipes:
    """Its standard input and output, as file descriptors. Every wait has an end."""

    def __init__(self, target: int, source: int) -> None:
        self._target, self._source = target, source
        self._before = b""  # read, and not asked for yet
        for pipe in (target, source):
            os.set_blocking(pipe, False)

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of it. Raises TimeoutError at `deadline` (by time.monotonic), BrokenPipeError."""
        rest = memoryview(data)
        while rest:
            _wait(self._target, selectors.EVENT_WRITE, deadline)
            try:
                rest = rest[os.write(self._target, rest[:_PIECE]) :]
            except BlockingIOError:
                continue

    def read_line(self, most: int, deadline: float) -> bytes:
        """The next line. Raises TimeoutError, EOFError, and ValueError for one of more than `most` bytes."""
        while b"\n" not in self._before:
            if len(self._before) > most:
                raise ValueError(f"a line of more than {most} bytes")
            self._before += self._read_some(deadline)
        line, _, self._before = self._before.partition(b"\n")
        return line

    def read(self, size: int, deadline: float) -> bytes:
        """So many bytes. Raises TimeoutError, EOFError."""
        parts, missing = [self._before[:size]], size - len(self._before)
        self._before = self._before[size:]
        while missing > 0:
            piece = self._read_some(deadline, missing)
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    def _read_some(self, deadline: float, most: int = _PIECE) -> bytes:
        while True:
            _wait(self._source, selectors.EVENT_READ, deadline)
            try:
                piece = os.read(self._source, min(most, _PIECE))
            except BlockingIOError:
                continue
            if not piece:
                raise EOFError
            return piece


def _wait(pipe: int, event: int, deadline: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
