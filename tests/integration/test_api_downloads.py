"""What a download leaves behind on the connection that it used: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import IO

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from api.jobs.downloads import CopyStream
from api.server.database_threads import DatabaseThreads
from shared.config import Settings
from shared.postgres.engine import autocommit

Copy = Callable[[Connection, IO[bytes]], None]

_STATE = text("SELECT pg_backend_pid(), (SELECT setting::int FROM pg_settings WHERE name = 'tcp_user_timeout')")


def test_a_connection_is_as_impatient_after_a_download_as_before(settings: Settings) -> None:
    """The next use of the same connection notices a dead peer as soon as any other session."""
    during: list[tuple[int, int]] = []

    def copy(connection: Connection, target: IO[bytes]) -> None:
        during.append(state(connection))
        target.write(b"row")

    content, before, after = download(settings, copy)
    assert content == b"row"
    assert before == after
    ((backend, patience),) = during
    assert backend == before[0]
    assert patience > before[1] > 0


def test_a_connection_whose_download_failed_is_not_used_again(settings: Settings) -> None:
    """Nor is its patience: the error is told, and whoever comes next gets a connection like any other."""

    def copy(connection: Connection, target: IO[bytes]) -> None:
        connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DBAPIError, match="division by zero"):
        download(settings, copy, after=assert_fresh)


def test_a_connection_whose_caller_left_is_not_used_again(settings: Settings) -> None:
    """Nor is its patience."""

    def copy(connection: Connection, target: IO[bytes]) -> None:
        while True:
            target.write(b"row" * 100_000)

    content, before, after = download(settings, copy, leaves_early=True)
    assert content
    assert_fresh(before, after)


def test_a_connection_that_is_lost_at_the_end_costs_no_download(settings: Settings, engine: Engine) -> None:
    """All bytes were there by then: the download is whole, and the next use gets another connection."""

    def copy(connection: Connection, target: IO[bytes]) -> None:
        target.write(b"row")
        with autocommit(engine) as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": state(connection)[0]})

    content, before, after = download(settings, copy)
    assert content == b"row"
    assert_fresh(before, after)


def download(
    settings: Settings,
    copy: Copy,
    *,
    leaves_early: bool = False,
    after: Callable[[tuple[int, int], tuple[int, int]], None] = lambda _before, _after: None,
) -> tuple[bytes, tuple[int, int], tuple[int, int]]:
    """The first pieces of a download, and the state of the one connection before and after it."""

    async def run() -> tuple[bytes, tuple[int, int], tuple[int, int]]:
        threads = DatabaseThreads(settings, "bulk", 1)
        before = await threads.run(lambda: use(threads))
        stream = CopyStream(copy)
        stream.start(threads)
        content = b""
        try:
            while piece := await stream.next():
                content += piece
                if leaves_early:
                    break
        finally:
            await stream.close()
            found = await threads.run(lambda: use(threads))
            threads.close()
            after(before, found)
        return content, before, found

    return asyncio.run(run())


def use(threads: DatabaseThreads) -> tuple[int, int]:
    with autocommit(threads.engine) as connection:
        return state(connection)


def state(connection: Connection) -> tuple[int, int]:
    """The process of PostgreSQL that serves this connection, and its patience in milliseconds."""
    backend, patience = connection.execute(_STATE).one()
    return int(backend), int(patience)


def assert_fresh(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert before[0] != after[0]
    assert before[1] == after[1]
