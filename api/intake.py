"""Taking work in. Single jobs that arrive together share one commit; what is published is committed already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from api.admission import REFUSALS, Admission
from api.auth import Caller
from api.coalesce import Coalescer
from api.database import PATIENCE_SECONDS, Lane, late
from api.metrics import Metrics
from api.publisher import Publisher
from shared.accept import Accepted, SingleJob, accept_singles, earlier_job
from shared.accept_bulk import BulkJob
from shared.config import Settings
from shared.db import autocommit
from shared.errors import DatabaseUnavailable, IdempotencyKeyInFlight, IdempotencyKeyReused, PredictqError
from shared.jobs import read_jobs
from shared.status import Queue
from shared.tables import REQUESTS_PER_BATCH

_LOOK_UP_SECONDS = 2.0  # for which an accept of unknown outcome is looked for


class Intake:
    """Where jobs become durable."""

    def __init__(
        self,
        settings: Settings,
        *,
        quick: Lane,
        singles: Lane,
        bulk: Lane,
        publisher: Publisher,
        admission: Admission,
        metrics: Metrics,
    ) -> None:
        self._quick_lane = quick
        self._singles_lane = singles
        self._bulk_lane = bulk
        self._publisher = publisher
        self._admission = admission
        self._metrics = metrics
        self._grace = settings.dispatch_grace_seconds
        self._keys_in_flight: set[tuple[str, str]] = set()
        self._singles: Coalescer[SingleJob, Accepted] = Coalescer(
            self._accept_group,
            singles.executor,
            max_items=settings.max_group,
            linger_seconds=settings.linger_ms / 1000,
            patience_seconds=PATIENCE_SECONDS,
            make_late_error=late,
        )

    async def accept_single(self, caller: Caller, job: SingleJob) -> Accepted:
        """Commit a single job. Raises what `accept_singles` answers, and DatabaseUnavailable."""
        earlier = await self._admit(caller, job, 1)
        if earlier is not None:
            return earlier
        if job.idempotency_key is None:
            accepted = await self._singles.submit(job)
        else:
            with self._holding_key(job.owner, job.idempotency_key):
                accepted = await self._singles.submit(job)
        if not accepted.replayed:
            self._admission.add(job.owner, 1)
            self._metrics.accepted_single()
        return accepted

    async def accept_bulk(
        self, caller: Caller, job: BulkJob, rows: int, accept: Callable[[Engine], Accepted]
    ) -> Accepted:
        """Run one of shared's bulk acceptances of `job` in a thread, then publish. Raises what that raises.

        `accept` may be called twice: after a connection that turned out to be lost.
        """
        earlier = await self._admit(caller, job, rows)
        if earlier is not None:
            return earlier
        with self._holding_key(caller.owner, job.idempotency_key):
            accepted = await self._bulk_lane.run_long(lambda: self._accept_bulk(job, accept))
        self._publisher.put(accepted.batch_ids, accepted.queue)
        return accepted

    async def admit_upload(self, caller: Caller, key: str | None) -> None:
        """Refuse an upload before it comes rather than after, unless it may repeat what was accepted."""
        try:
            self._admission.check(caller, 1)
        except REFUSALS:
            # With a payload that no job has, so that any job of this key answers that it was another.
            if await self._earlier(caller.owner, key, None) is None:
                raise

    def count_bulk(self, owner: str, rows: int) -> None:
        """Count a bulk job that was accepted, once its number of rows is known."""
        self._admission.add(owner, rows)
        self._metrics.accepted_bulk(rows)

    async def _admit(self, caller: Caller, job: SingleJob | BulkJob, rows: int) -> Accepted | None:
        """Let `rows` in, or find the job that this one repeats: it was let in before, and takes no more room.

        Looked up only on a refusal, so that it costs nothing where there is room. Raises what `Admission.check` does.
        """
        try:
            self._admission.check(caller, rows)
        except REFUSALS:
            earlier = await self._earlier(job.owner, job.idempotency_key, job.payload_hash)
            if earlier is None:
                raise
            if isinstance(earlier, PredictqError):
                raise earlier from None
            return earlier
        return None

    async def _earlier(
        self, owner: str, key: str | None, payload_hash: str | None
    ) -> Accepted | IdempotencyKeyReused | None:
        if key is None:
            return None
        return await self._quick_lane.read(lambda connection: earlier_job(connection, owner, key, payload_hash))

    async def drain(self) -> None:
        """Return when every single job that was handed in has its answer."""
        await self._singles.drain()

    @contextmanager
    def _holding_key(self, owner: str, key: str | None) -> Iterator[None]:
        if key is None:
            yield
            return
        held = (owner, key)
        if held in self._keys_in_flight:
            raise IdempotencyKeyInFlight
        self._keys_in_flight.add(held)
        try:
            yield
        finally:
            self._keys_in_flight.discard(held)

    def _accept_group(self, jobs: Sequence[SingleJob]) -> Sequence[Accepted | Exception]:
        answers: Sequence[Accepted | Exception]
        try:
            answers = self._accept(jobs)
        except DatabaseUnavailable as error:
            answers = self._settle_unknown(jobs, error)
        except DBAPIError as error:
            # Something in one job that PostgreSQL refuses: the others must not pay for it. Nothing was committed.
            if len(jobs) == 1:
                return [error]
            return [answer for job in jobs for answer in self._accept_group([job])]
        batches = {batch_id for answer in answers if isinstance(answer, Accepted) for batch_id in answer.batch_ids}
        self._publisher.put(sorted(batches), Queue.INTERACTIVE)
        return answers

    def _accept(self, jobs: Sequence[SingleJob]) -> list[Accepted | PredictqError]:
        with autocommit(self._singles_lane.engine) as connection:
            return accept_singles(connection, jobs, grace_seconds=self._grace)

    def _settle_unknown(self, jobs: Sequence[SingleJob], error: DatabaseUnavailable) -> Sequence[Accepted | Exception]:
        """The connection was lost on the way: find out what was committed, and accept the rest once more.

        That is safe, because a job's id was made before: if the first attempt gets in after all, the second one
        meets the primary key, and the next look finds them. A 202 is given only to jobs that are known to be there.
        """
        deadline = monotonic() + _LOOK_UP_SECONDS
        while monotonic() < deadline:
            try:
                found = self._find(jobs)
                missing = [job for job in jobs if job.job_id not in found]
                repeated = dict(zip((job.job_id for job in missing), self._accept(missing), strict=True))
            except DatabaseUnavailable as still:
                error = still
                sleep(0.1)
            except DBAPIError as refusal:
                if _met_itself(refusal):
                    continue
                if len(jobs) == 1:
                    return [refusal]
                return [answer for job in jobs for answer in self._settle_unknown([job], error)]
            else:
                return [found.get(job.job_id) or repeated[job.job_id] for job in jobs]
        return [error for _ in jobs]

    def _accept_bulk(self, job: BulkJob, accept: Callable[[Engine], Accepted]) -> Accepted:
        try:
            return accept(self._bulk_lane.engine)
        except DatabaseUnavailable:
            # Whether it was committed is not known; as with single jobs, look, and only then try once more.
            return self._look_up(job.job_id) or self._accept_again(job, accept)

    def _accept_again(self, job: BulkJob, accept: Callable[[Engine], Accepted]) -> Accepted:
        try:
            return accept(self._bulk_lane.engine)
        except IntegrityError as error:
            found = self._look_up(job.job_id) if _met_itself(error) else None
            if found is None:
                raise
            return found

    def _look_up(self, job_id: UUID) -> Accepted | None:
        """The bulk job if it is there. Its batches are the sweeper's to publish."""
        deadline = monotonic() + _LOOK_UP_SECONDS
        while True:
            try:
                with autocommit(self._bulk_lane.engine) as connection:
                    record = read_jobs(connection, [job_id]).get(job_id)
            except DatabaseUnavailable:
                if monotonic() > deadline:
                    raise
                sleep(0.1)
            else:
                return None if record is None else Accepted(job_id, record.model_version, Queue.BULK, ())

    def _find(self, jobs: Sequence[SingleJob]) -> dict[UUID, Accepted]:
        with autocommit(self._singles_lane.engine) as connection:
            records = read_jobs(connection, [job.job_id for job in jobs])
        return {
            record.job_id: Accepted(
                record.job_id,
                record.model_version,
                Queue.INTERACTIVE,
                (record.request_id // REQUESTS_PER_BATCH,),
                record.request_id,
                created_at=record.created_at,
            )
            for record in records.values()
            if record.request_id is not None
        }


def _met_itself(error: DBAPIError) -> bool:
    """Whether an accept found its own job there: its first attempt got in after it was looked for."""
    return isinstance(error, IntegrityError) and "jobs_pkey" in str(error.orig)
