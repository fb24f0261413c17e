"""Taking bulk jobs in. A list of ten million rows may take many seconds, so nobody can say how long is too long; what
can be seen is whether PostgreSQL still works on it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from time import monotonic, sleep
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from api.access.admission import Admission
from api.access.caller import Caller
from api.access.idempotency import Idempotency
from api.intake.publisher import Publisher
from api.server.database_threads import DatabaseThreads, met_itself
from api.server.deadline import current
from api.watch.metrics import Metrics
from shared.errors import DatabaseBlocked, DatabaseUnavailable, OutcomeOpen
from shared.jobs.accepting.bulk import BulkJob
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import read_jobs
from shared.logging import get_logger
from shared.postgres.engine import autocommit
from shared.status import Queue
from shared.told_errors import words_of

log = get_logger(__name__)

_LOOK_UP_SECONDS = 2.0  # for which an accept of unknown outcome is looked for
_PULSE_SECONDS = 1.0  # between two looks at an acceptance that runs, and the longest that a look may take
_BEAT_SECONDS = 2.5  # that a sign of life is good for

Accept = Callable[[Engine], Accepted]


class _Attempt:
    """An acceptance under way: who works on it, and whether anybody still waits for it."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.is_awaited = True

    def begin(self) -> None:
        """The thread that calls does it. Raises DatabaseUnavailable where the caller has left before."""
        self.thread = threading.get_ident()
        if not self.is_awaited:
            raise OutcomeOpen


class BulkIntake:
    """Where bulk jobs become durable."""

    def __init__(
        self,
        *,
        quick: DatabaseThreads,
        bulk: DatabaseThreads,
        publisher: Publisher,
        admission: Admission,
        idempotency: Idempotency,
        metrics: Metrics,
    ) -> None:
        self._quick_threads = quick
        self._threads = bulk
        self._publisher = publisher
        self._admission = admission
        self._idempotency = idempotency
        self._metrics = metrics
        self._tasks: set[asyncio.Task[Accepted]] = set()

    async def accept(
        self, caller: Caller, job: BulkJob, rows: int, accept: Accept, resources: ExitStack | None = None
    ) -> Accepted:
        """Run one of shared's bulk acceptances of `job` in a thread, and publish. Raises what that raises.

        `rows` is how many there are, 0 for a selection. `accept` may be called twice: after a connection that turned
        out to be lost. The call's deadline holds for as long as PostgreSQL is silent or waits for a lock; each sign of
        life puts it off. An acceptance whose caller was sent away goes on by itself, with its key in flight and with
        `resources`, which are closed when it has ended.
        """
        attempt = _Attempt()
        task = asyncio.create_task(self._run(attempt, caller, job, rows, accept, resources or ExitStack()))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, attempt))
        deadline = current()
        deadline.make_error = OutcomeOpen
        try:
            await asyncio.wait([task], timeout=_PULSE_SECONDS)
            while not task.done():
                if await self._is_at_work(attempt):
                    deadline.at_least(_BEAT_SECONDS)
                await asyncio.wait([task], timeout=_PULSE_SECONDS)
            return task.result()
        finally:
            attempt.is_awaited = False
            if attempt.thread is None:
                task.cancel()  # it still waits for a thread

    async def drain(self) -> None:
        """Return when every acceptance has come to its end."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(
        self, attempt: _Attempt, caller: Caller, job: BulkJob, rows: int, accept: Accept, resources: ExitStack
    ) -> Accepted:
        with resources, self._admission.room(caller) as room:
            earlier = await self._idempotency.admit(job, lambda: room.take(rows))
            if earlier is not None:
                return earlier
            with self._idempotency.holding(job.owner, job.idempotency_key):
                accepted = await self._threads.run_long(lambda: self._accept(attempt, job, accept), owner=job.owner)
            if not accepted.replayed:
                room.keep()
                self._metrics.accepted_bulk(room.rows)
        return accepted

    def _end(self, attempt: _Attempt, task: asyncio.Task[Accepted]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or attempt.is_awaited:
            return
        error = task.exception()
        log.warning("bulk_acceptance_ended_unattended", outcome="accepted" if error is None else words_of(error))

    async def _is_at_work(self, attempt: _Attempt) -> bool:
        backend = self._threads.backend_of(attempt.thread)
        try:
            async with asyncio.timeout(_PULSE_SECONDS):
                return await self._quick_threads.read(lambda connection: _is_free(connection, backend))
        except (TimeoutError, DatabaseUnavailable):
            return False

    def _accept(self, attempt: _Attempt, job: BulkJob, accept: Accept) -> Accepted:
        accepted = self._accept_surely(attempt, job, accept)
        # From this thread: the event loop's would first answer the caller, and the workers wait for that.
        self._publisher.put(len(accepted.batch_ids), accepted.queue)
        return accepted

    def _accept_surely(self, attempt: _Attempt, job: BulkJob, accept: Accept) -> Accepted:
        attempt.begin()
        try:
            return accept(self._threads.engine)
        except DatabaseBlocked:
            raise
        except DatabaseUnavailable as error:
            if not error.may_be_repeated:
                raise
            # Whether it was committed is not known; as with single jobs, look, and only then try once more.
            found = self._look_up(attempt, job.job_id)
            if found is None and not attempt.is_awaited:
                raise
            return found or self._accept_again(attempt, job, accept)

    def _accept_again(self, attempt: _Attempt, job: BulkJob, accept: Accept) -> Accepted:
        try:
            return accept(self._threads.engine)
        except IntegrityError as error:
            found = self._look_up(attempt, job.job_id) if met_itself(error) else None
            if found is None:
                raise
            return found

    def _look_up(self, attempt: _Attempt, job_id: UUID) -> Accepted | None:
        """The bulk job if it is there. Its batches are the sweeper's to publish."""
        deadline = monotonic() + _LOOK_UP_SECONDS
        while True:
            try:
                with autocommit(self._threads.engine) as connection:
                    record = read_jobs(connection, [job_id]).get(job_id)
            except DatabaseUnavailable:
                if monotonic() > deadline or not attempt.is_awaited:
                    raise
                sleep(0.1)
            else:
                return None if record is None else Accepted(job_id, record.model, record.model_version, Queue.BULK, ())


def _is_free(connection: Connection, backend: int | None) -> bool:
    """Whether that backend of PostgreSQL, if there is one yet, waits for nobody's lock."""
    waits = connection.execute(_WAITS, {"backend": backend}).scalar_one()
    return not waits


# Several COPYs that make one table larger wait for each other all the time, and only for a moment.
_WAITS = text("""
SELECT EXISTS (SELECT FROM pg_stat_activity
               WHERE pid = :backend AND wait_event_type = 'Lock' AND wait_event <> 'extend')
""")
