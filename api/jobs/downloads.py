"""Downloads, page by page: a thread copies a page to disk, and then serves others while the caller takes it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import IO, TypeVar, cast

from sqlalchemy import Connection
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.access.auth import Validity
from api.server.database_threads import DatabaseThreads, repeated_once
from shared.logging import get_logger
from shared.postgres.engine import autocommit

log = get_logger(__name__)

Answer = TypeVar("Answer")
Copy = Callable[[Connection, IO[bytes]], None]
Begin = Callable[[Connection, IO[bytes]], Sequence[Copy]]

_PIECE = 64 * 1024  # bytes handed over at once
_IN_MEMORY = 128 * 1024  # bytes of a page before a file is made
_QUEUE_SECONDS = 4.0  # that a download may wait for a thread: its first byte comes as soon as any other answer
_NEXT_SECONDS = 60.0  # the same for its later pages
_LOOK_SECONDS = 3.0  # between two looks whether the caller still may
STALL_SECONDS = 60.0  # after which a caller that takes nothing is given up


class _Page:
    """Bytes on disk. Closed by who takes them, or when nobody does: its caller may have left while it was copied."""

    def __init__(self) -> None:
        self.file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - see above

    def __del__(self) -> None:
        self.file.close()


class NoLongerAllowed(ClientDisconnect):
    """The key or session of a download counts no more: the connection is broken off, as though its caller had left."""


class Download:
    """What `begin(connection, target)` and the copies that it returns write, one after the other.

    Each has a thread and a connection of `threads` while PostgreSQL speaks, in the share of `owner`. No transaction
    lasts from one to the next: answers never change. It goes on for as long as `validity` says that the caller may.
    """

    def __init__(self, threads: DatabaseThreads, owner: str | None = None, validity: Validity | None = None) -> None:
        self._threads = threads
        self._owner = owner
        self._validity = validity
        self._looked_at = time.monotonic()
        self._page: _Page | None = None
        self._copies: Sequence[Copy] = ()

    async def begin(self, begin: Begin) -> None:
        """Copy the first page. Raises what that raises."""
        self._page, self._copies = await self._fill(begin, _QUEUE_SECONDS)

    async def pieces(self) -> AsyncIterator[bytes]:
        """All bytes in order. Raises what a copy raises, and NoLongerAllowed."""
        while self._page is not None:
            while piece := self._page.file.read(_PIECE):
                await self._check()
                yield piece
            self._page = None
            if self._copies:
                copy, *self._copies = self._copies
                self._page, _ = await self._fill(copy, _NEXT_SECONDS)

    async def _check(self) -> None:
        now = time.monotonic()
        if self._validity is None or now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        if not await self._validity.is_valid():
            log.info("download broken off, for its key or session counts no more", owner=self._owner)
            raise NoLongerAllowed

    async def _fill(self, copy: Callable[[Connection, IO[bytes]], Answer], seconds: float) -> tuple[_Page, Answer]:
        return await self._threads.run_long(
            partial(_copy_page, self._threads, copy), queue_seconds=seconds, owner=self._owner
        )


def _copy_page(threads: DatabaseThreads, copy: Callable[[Connection, IO[bytes]], Answer]) -> tuple[_Page, Answer]:
    """A page, to be read from its start. A connection that was lost while it lay idle is replaced once."""
    return repeated_once(partial(_copy_once, threads, copy))


def _copy_once(threads: DatabaseThreads, copy: Callable[[Connection, IO[bytes]], Answer]) -> tuple[_Page, Answer]:
    page = _Page()
    with autocommit(threads.engine) as connection:
        answer = copy(connection, page.file)
    page.file.seek(0)
    return page, answer


class DownloadResponse(StreamingResponse):
    """A streamed response that holds a place among the downloads, and gives up a caller who takes nothing."""

    def __init__(
        self, download: Download, media_type: str, headers: Mapping[str, str], place: AbstractContextManager[None]
    ) -> None:
        super().__init__(download.pieces(), headers=headers, media_type=media_type)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; see ASGI."""

        async def patiently(message: Message) -> None:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        try:
            await super().__call__(scope, receive, patiently)
        finally:
            self._place.__exit__(None, None, None)


async def download_response(
    download: Download,
    begin: Begin,
    media_type: str,
    headers: Mapping[str, str],
    place: AbstractContextManager[None],
) -> DownloadResponse:
    """Stream pages, holding `place` meanwhile.

    An error in the first page is raised here; a later one breaks the connection off.
    """
    place.__enter__()
    try:
        await download.begin(begin)
    except BaseException as error:
        place.__exit__(type(error), error, None)
        raise
    return DownloadResponse(download, media_type, headers, place)
