"""Streaming a COPY to a caller: a thread reads from PostgreSQL, the event loop sends, a few pieces lie between."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
from typing import IO, cast

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.server.database_threads import DatabaseThreads
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.postgres.engine import autocommit
from shared.told_errors import words_of

log = get_logger(__name__)

_PIECE = 256 * 1024  # bytes handed over at once
_AHEAD = 4  # pieces read ahead of the caller
_QUEUE_SECONDS = 4.0  # that a download may wait for a thread: its first byte comes as soon as any other answer
_STALL_SECONDS = 60.0  # after which a caller that takes nothing is given up, and the connection freed

# A caller that pauses lets PostgreSQL's data pile up unread, which TCP cannot tell from a dead peer: by the ten
# seconds of every other session the server hung up on it. Here the stall above is what decides.
_PATIENT = text(f"SET tcp_user_timeout = '{_STALL_SECONDS + 30:.0f}s'")
_AS_BEFORE = text("RESET tcp_user_timeout")


class Stopped(Exception):
    """The caller has gone, or takes nothing any more."""

    def __init__(self) -> None:
        super().__init__("the caller takes no more")


class CopyStream:
    """The bytes that `copy(connection, target)` writes, as an async iterator. Stop or close it in any case."""

    def __init__(self, copy: Callable[[Connection, IO[bytes]], None]) -> None:
        self._copy = copy
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | Exception] = asyncio.Queue(_AHEAD)
        self._closed = False
        self._has_begun = False
        self._task: asyncio.Task[None] | None = None

    def start(self, threads: DatabaseThreads, *, owner: str | None = None) -> None:
        """Begin to read in one of `threads`, in the share of `owner`."""
        self._task = asyncio.create_task(self._run(threads, owner))

    async def _run(self, threads: DatabaseThreads, owner: str | None) -> None:
        try:
            await threads.run_long(lambda: self._produce(threads.engine), queue_seconds=_QUEUE_SECONDS, owner=owner)
        except Stopped:
            return
        except Exception as error:  # noqa: BLE001 - raised again, to the reader
            await self._pieces.put(error)
        else:
            await self._pieces.put(b"")

    async def next(self) -> bytes:
        """The next piece; empty at the end. Raises what the COPY raised."""
        piece = await self._pieces.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def stop(self) -> None:
        """Let the COPY end if it still runs: at once if it waits for its reader, else when PostgreSQL says more."""
        self._closed = True
        while not self._pieces.empty():  # so that the thread, if it waits to hand over, finds out
            self._pieces.get_nowait()

    async def close(self) -> None:
        """Stop the COPY, and return when it has ended."""
        self.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _produce(self, engine: Engine) -> None:
        if self._closed:
            raise Stopped
        try:
            self._copy_once(engine)
        except DatabaseUnavailable:
            if self._has_begun or self._closed:
                raise
            self._copy_once(engine)  # a connection that was lost while it lay idle: the pool gives a new one

    def _copy_once(self, engine: Engine) -> None:
        sink = _Sink(self._hand_over)
        # No transaction: answers never change, and a slow reader must not hold one open between two batches.
        with autocommit(engine) as connection:
            connection.execute(_PATIENT)
            try:
                target = io.BufferedWriter(sink, _PIECE)
                self._copy(connection, cast("IO[bytes]", target))
                target.flush()
            except BaseException:
                sink.fail()  # what is still in the buffer must not go out
                connection.invalidate()  # the server is in the middle of a COPY: only hanging up ends it
                raise
            _give_back(connection)

    def _hand_over(self, piece: bytes) -> None:
        if self._closed:
            raise Stopped
        self._has_begun = True
        put = asyncio.run_coroutine_threadsafe(self._pieces.put(piece), self._loop)
        try:
            put.result(_STALL_SECONDS)
        except TimeoutError:
            put.cancel()
            raise Stopped from None


def _give_back(connection: Connection) -> None:
    """Make the connection fit for whoever gets it next, or drop it: the download is whole by now, and stays so."""
    try:
        connection.execute(_AS_BEFORE)
    except DBAPIError as error:
        log.info("connection_lost_after_download", error=words_of(error))
        connection.invalidate()


class _Sink(io.RawIOBase):
    """Hands over what is written to it; behind a buffer, because the driver writes row by row."""

    def __init__(self, hand_over: Callable[[bytes], None]) -> None:
        self._hand_over = hand_over
        self._has_failed = False

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object, /) -> int:
        """Hand over all of it; after a failure, drop it."""
        piece = bytes(cast("memoryview", data))
        if not self._has_failed:
            self._hand_over(piece)
        return len(piece)

    def fail(self) -> None:
        """Drop whatever is still written: the buffer does so when it is closed."""
        self._has_failed = True


class CopyResponse(StreamingResponse):
    """A streamed response that ends its COPY whatever happens to the caller."""

    def __init__(self, stream: CopyStream, first: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(stream, first), headers=headers, media_type=media_type)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; see ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._stream.close()


async def _pieces(stream: CopyStream, first: bytes) -> AsyncIterator[bytes]:
    piece = first
    while piece:
        yield piece
        piece = await stream.next()


async def copy_response(
    threads: DatabaseThreads,
    copy: Callable[[Connection, IO[bytes]], None],
    media_type: str,
    headers: Mapping[str, str],
    *,
    owner: str | None = None,
) -> CopyResponse:
    """Stream a COPY. An error before the first byte is raised here; a later one breaks the connection off."""
    stream = CopyStream(copy)
    stream.start(threads, owner=owner)
    try:
        first = await stream.next()
    except BaseException:
        stream.stop()
        raise
    return CopyResponse(stream, first, media_type, headers)
