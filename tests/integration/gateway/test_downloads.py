"""Downloads go page by page: while a caller takes one, no thread and no connection is kept for it."""

from __future__ import annotations

import asyncio
import errno
import io
from collections.abc import Callable, Sequence
from typing import IO

import httpx
import pytest
from sqlalchemy import Connection, Engine, text

from api.jobs.downloads import Download
from api.server.database_threads import DatabaseThreads
from shared.access.api_keys import revoke_key
from shared.config import Settings
from shared.postgres.engine import autocommit, driver_connection, transaction
from tests.integration.gateway.api_support import answer_batches, bearer, new_key, running_gateway
from tests.support import add_model

ROWS = 400_000  # of a file that no buffer between gateway and caller holds
Copy = Callable[[Connection, IO[bytes]], None]


def test_a_caller_who_takes_her_time_holds_no_thread(settings: Settings) -> None:
    """Of one thread and two downloads each gets its pages in turn, whoever pauses."""

    async def run(threads: DatabaseThreads) -> None:
        slow, quick = Download(threads, "alice"), Download(threads, "bob")
        await slow.begin(pages(b"1", b"2"))
        first = slow.pieces()
        assert await anext(first) == b"1"
        await quick.begin(pages(b"3", b"4"))
        assert [piece async for piece in quick.pieces()] == [b"3", b"4"]
        assert [piece async for piece in first] == [b"2"]

    with_threads(settings, run)


def test_a_connection_that_a_download_left_within_a_copy_is_not_used_again(settings: Settings) -> None:
    """The error is told, and whoever comes next gets another connection and waits for no rows."""

    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "no room for this page")

    def fail(connection: Connection, target: IO[bytes]) -> Sequence[Copy]:
        with driver_connection(connection).cursor() as cursor:
            cursor.copy_expert("COPY (SELECT generate_series(1, 10000000)) TO STDOUT", Full())
        return []

    async def run(threads: DatabaseThreads) -> None:
        before = await threads.run(lambda: backend(threads))
        with pytest.raises(OSError, match="no room for this page"):
            await Download(threads).begin(fail)
        assert await threads.run(lambda: backend(threads)) != before

    with_threads(settings, run)


def test_a_connection_that_was_lost_while_idle_costs_no_download(settings: Settings, engine: Engine) -> None:
    """Between two pages: the next one comes over another connection."""

    async def run(threads: DatabaseThreads) -> None:
        download = Download(threads)
        await download.begin(pages(b"1", b"2"))
        pieces = download.pieces()
        assert await anext(pieces) == b"1"
        with autocommit(engine) as other:
            pid = await threads.run(lambda: backend(threads))
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        assert [piece async for piece in pieces] == [b"2"]

    with_threads(settings, run)


def test_a_caller_who_leaves_while_a_page_is_copied_leaves_nothing(settings: Settings) -> None:
    """The thread ends its page, and its file is closed."""

    def slow(connection: Connection, target: IO[bytes]) -> Sequence[Copy]:
        target.write(b"x" * 1_000_000)
        connection.execute(text("SELECT pg_sleep(0.2)"))
        return []

    async def run(threads: DatabaseThreads) -> None:
        leaving = asyncio.create_task(Download(threads).begin(slow))
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await threads.run(lambda: backend(threads))

    with_threads(settings, run)


def test_a_download_ends_with_its_key(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a caller has not taken when her key is revoked she does not get; another's goes on."""
    monkeypatch.setattr("api.jobs.downloads._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("api.access.auth._REMEMBER_SECONDS", 0.0)
    add_model(engine)
    add_model(engine)
    with running_gateway(settings, new_key(engine, "alice")) as gateway:
        second = bearer(new_key(engine, "alice"))
        content = "".join(f"{number}\n" for number in range(1, ROWS + 1)).encode()
        headers = {"Content-Type": "text/csv"}
        results = gateway.post("/v1/jobs", content=content, headers=headers).headers["location"] + "/results"
        answer_batches(engine)
        csv = {"Accept": "text/csv"}
        with (
            gateway.stream("GET", results, headers=csv) as hers,
            gateway.stream("GET", results, headers=csv | second) as other,
        ):
            taken = hers.iter_raw()
            next(taken)
            with transaction(engine) as connection:
                revoke_key(connection, gateway.headers["authorization"].removeprefix("Bearer ")[:11])
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in taken:
                    pass
            rows = sum(piece.count(b"\n") for piece in other.iter_raw())
        assert rows == ROWS + 1


def pages(*contents: bytes) -> Callable[[Connection, IO[bytes]], Sequence[Copy]]:
    """A download of these pages."""

    def begin(connection: Connection, target: IO[bytes]) -> Sequence[Copy]:
        target.write(contents[0])
        return [lambda _, target, content=content: target.write(content) and None for content in contents[1:]]

    return begin


def with_threads(settings: Settings, run: Callable[[DatabaseThreads], object]) -> None:
    """Run with one thread and its connection."""

    async def whole() -> None:
        threads = DatabaseThreads(settings, "downloads", 1)
        try:
            await run(threads)  # type: ignore[misc]  # a coroutine
        finally:
            threads.close()

    asyncio.run(whole())


def backend(threads: DatabaseThreads) -> int:
    """The process of PostgreSQL that serves the thread's connection."""
    with autocommit(threads.engine) as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
