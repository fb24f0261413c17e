"""Threads with one connection to PostgreSQL each, in groups, so that slow work never blocks quick work."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from psycopg2.errors import UniqueViolation
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from api.http.problems import BUSY, Problem
from shared.config import Settings
from shared.errors import AnswerLate, DatabaseUnavailable
from shared.postgres.engine import autocommit, make_engine, transaction

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 4.0  # after which a caller is told 503 rather than kept waiting
_QUEUE_SECONDS = 30.0  # that bulk work may wait for a thread
LOCK_SECONDS = 3.0  # that slow work waits for one lock
# The server ends a quick statement by itself, so that its thread comes free: before the caller's patience is over, so
# that the caller is told what happened.
_STATEMENT_SECONDS = 3.5


class NoAnswerInTime(Exception):
    """PostgreSQL accepted the question and stays silent, or every thread is busy with slow answers."""

    def __init__(self) -> None:
        super().__init__(f"no answer within {PATIENCE_SECONDS:g} s")


def late() -> DatabaseUnavailable:
    """The error for a caller whose patience ran out; nobody knows whether PostgreSQL is away or only slow."""
    return AnswerLate(NoAnswerInTime())


class DatabaseThreads:
    """As many threads as connections; work waits in line for a thread, never for a connection.

    Work that names its owner leaves one thread to the others: nobody has all of them at a time, unless there is one.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        size: int,
        *,
        statement_seconds: float | None = _STATEMENT_SECONDS,
        lock_seconds: float | None = None,
    ) -> None:
        self.engine = make_engine(
            settings,
            application_name=f"predictq-api-{name}",
            pool_size=size,
            statement_timeout_seconds=statement_seconds,
            lock_timeout_seconds=lock_seconds,
        )
        self._backends: dict[int, int] = {}
        event.listen(self.engine, "checkout", self._note_backend)
        self._free = asyncio.Semaphore(size)
        self.executor = ThreadPoolExecutor(size, thread_name_prefix=f"api-{name}")
        self._most_of_owner = max(1, size - 1)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def read(self, query: Callable[[Connection], Answer], *, owner: str | None = None) -> Answer:
        """Run a query that changes nothing; repeated once when its connection turns out to be lost.

        Raises DatabaseUnavailable, at the latest after `PATIENCE_SECONDS`.
        """
        return await self._run(lambda: read_twice(self, query), owner)

    async def write(self, change: Callable[[Connection], Answer], *, owner: str | None = None) -> Answer:
        """Run a change in one transaction. Raises DatabaseUnavailable, also where the outcome is not known."""

        def run() -> Answer:
            with transaction(self.engine) as connection:
                return change(connection)

        return await self._run(run, owner)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Run something in one of these threads, whenever one is free, and as long as it takes."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    async def run_long(
        self, work: Callable[[], Answer], *, queue_seconds: float = _QUEUE_SECONDS, owner: str | None = None
    ) -> Answer:
        """Run something that may take its time. Raises Problem 503 when no thread comes free in `queue_seconds`.

        Once begun it goes on, and keeps its thread, even when this call is cancelled.
        """
        held: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(queue_seconds):
                for semaphore in (self._share_of(owner), self._free):
                    await semaphore.acquire()
                    held.append(semaphore)
        except TimeoutError:
            _release(held)
            raise Problem(BUSY, "All connections for work of this kind are in use. Try again in a moment.") from None
        except BaseException:
            _release(held)
            raise
        future = asyncio.get_running_loop().run_in_executor(self.executor, work)
        future.add_done_callback(lambda _: _release(held))
        return await asyncio.shield(future)

    def open_first(self) -> None:
        """Let a thread open its connection now: the first call of a kind waited 20 ms and more for that."""
        self.executor.submit(self._open)

    def _open(self) -> None:
        with contextlib.suppress(DatabaseUnavailable, DBAPIError), autocommit(self.engine):
            pass  # whoever calls next is told what is wrong

    def backend_of(self, thread: int | None) -> int | None:
        """The process of PostgreSQL that serves one of these threads, or served it last."""
        return None if thread is None else self._backends.get(thread)

    def _note_backend(self, driver: PsycopgConnection, *_: object) -> None:
        self._backends[threading.get_ident()] = driver.info.backend_pid

    def _share_of(self, owner: str | None) -> asyncio.Semaphore:
        """The threads that one owner may have at a time; without one, no limit but the line of all."""
        if owner is None:
            return asyncio.Semaphore()
        share = self._shares.get(owner)
        if share is None:
            share = self._shares[owner] = asyncio.Semaphore(self._most_of_owner)
        return share

    async def _run(self, work: Callable[[], Answer], owner: str | None) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await (self.run(work) if owner is None else self._run_of(owner, work))
        except TimeoutError:
            raise late() from None

    async def _run_of(self, owner: str, work: Callable[[], Answer]) -> Answer:
        """Run something in the owner's share, which it takes up until its thread is done, whoever left before."""
        loop = asyncio.get_running_loop()
        share = self._share_of(owner)
        await share.acquire()
        future = self.executor.submit(work)

        def give_back(_: Future[Answer]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(share.release)

        future.add_done_callback(give_back)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop the connections; threads that still run are not waited for."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()


def _release(held: list[asyncio.Semaphore]) -> None:
    for semaphore in held:
        semaphore.release()


def read_twice(threads: DatabaseThreads, query: Callable[[Connection], Answer]) -> Answer:
    """Run a query in this thread; a lost connection is replaced and the query repeated once."""

    def read_once() -> Answer:
        with autocommit(threads.engine) as connection:
            return query(connection)

    return repeated_once(read_once)


def repeated_once(work: Callable[[], Answer]) -> Answer:
    """What `work` returns; where its connection was lost while it lay idle, it is done once more with another."""
    try:
        return work()
    except DatabaseUnavailable as error:
        if not error.may_be_repeated:
            raise
        return work()  # the pool has dropped all its connections by now, so this one is new


def met_itself(error: DBAPIError) -> bool:
    """Whether an accept found its own job there: its first attempt got in after it was looked for."""
    if not isinstance(error, IntegrityError) or not isinstance(error.orig, UniqueViolation):
        return False
    # Told of the partition that the id belongs to: its name begins with that of the table.
    return (error.orig.diag.table_name or "").startswith("jobs_")
