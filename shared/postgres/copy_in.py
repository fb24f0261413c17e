"""COPY into PostgreSQL from an iterator of bytes: memory flat in the number of rows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import psycopg2
from sqlalchemy import Connection

from shared.postgres.engine import driver_connection

_READ_BYTES = 128 * 1024  # the driver asks for 8 kB at a time by default: many calls


def copy_in(connection: Connection, statement: str, pieces: Iterable[bytes]) -> None:
    """Run `statement`, a COPY … FROM STDIN, on data that is taken from `pieces` as it comes.

    Whatever `pieces` raises ends the COPY and is raised here, Ctrl-C included: the driver would wrap it in an error
    of its own that reads as if the server had failed.
    """
    source = _Source(iter(pieces))
    with driver_connection(connection).cursor() as cursor:
        try:
            cursor.copy_expert(statement, source, _READ_BYTES)
        except BaseException as error:
            if source.failure is not None:
                raise source.failure from None
            failed = _driver_error(error)
            if failed is None:
                raise
            # The rest, DETAIL and CONTEXT, has the row that PostgreSQL was reading, and this may get into a log.
            failed.args = (str(failed).partition("\n")[0],)
            raise failed from None


def _driver_error(error: BaseException) -> psycopg2.Error | None:
    """The driver's own error, which Python may have wrapped: where it comes while a piece is read, in a SystemError."""
    return next((one for one in (error, error.__cause__) if isinstance(one, psycopg2.Error)), None)


class _Source(io.RawIOBase):
    """What psycopg2's COPY reads from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")  # cut without copying, however large the piece
        self.failure: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; empty at the end."""
        if size < 0:
            raise io.UnsupportedOperation("read with a size")
        try:
            while not self._rest:
                self._rest = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)
