"""Taking work in. Single jobs that arrive together share one commit; what is published is committed already."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic, sleep
from uuid import UUID

from sqlalchemy.exc import DBAPIError, ProgrammingError

from api.access.admission import REFUSALS, Admission
from api.access.caller import Caller
from api.access.idempotency import Idempotency
from api.http.problems import is_about_schema
from api.intake.bulk_jobs import BulkIntake
from api.intake.group_spacing import GroupSpacing
from api.intake.publisher import Publisher
from api.server.coalescer import Coalescer
from api.server.database_threads import PATIENCE_SECONDS, DatabaseThreads, met_itself
from api.server.deadline import current
from api.watch.metrics import Metrics
from shared.config import Settings
from shared.errors import DatabaseBlocked, DatabaseUnavailable, OutcomeOpen, PredictqError, StatementCancelled
from shared.jobs.accepting.singles import Accepted, SingleJob, accept_singles
from shared.jobs.records import read_jobs
from shared.logging import get_logger
from shared.postgres.engine import autocommit
from shared.sources.lookup import can_be_asked
from shared.status import Queue
from shared.told_errors import words_of

log = get_logger(__name__)

_DRAIN_SECONDS = 5.0  # at the end of the process
LOOK_UP_LOCK_SECONDS = 0.2  # that acceptance waits for a lock: somebody may hold one on the table of clients
_UNSEEN_SECONDS = 5.0  # for which such tables are not asked once one did not answer
_LOOK_UP_SECONDS = 2.0  # for which an accept of unknown outcome is looked for


class Intake:
    """Where jobs become durable."""

    def __init__(
        self,
        settings: Settings,
        *,
        quick: DatabaseThreads,
        singles: DatabaseThreads,
        bulk: DatabaseThreads,
        publisher: Publisher,
        admission: Admission,
        metrics: Metrics,
        group_spacing: GroupSpacing,
    ) -> None:
        self._group_spacing = group_spacing
        self._singles_threads = singles
        self._unseen_until = 0.0  # until when clients are not looked up
        self._refusing_until: dict[str, float] = {}  # until when those of a source are not
        self._publisher = publisher
        self._admission = admission
        self._metrics = metrics
        self.idempotency = Idempotency(quick)
        self.bulk = BulkIntake(
            quick=quick,
            bulk=bulk,
            publisher=publisher,
            admission=admission,
            idempotency=self.idempotency,
            metrics=metrics,
        )
        self._singles: Coalescer[SingleJob, Accepted] = Coalescer(
            self._accept_group,
            singles.executor,
            max_items=settings.max_group,
            spacing=group_spacing.spacing,
            enough=group_spacing.enough,
            patience_seconds=PATIENCE_SECONDS,
            make_late_error=OutcomeOpen,
        )

    async def accept_single(self, caller: Caller, job: SingleJob) -> Accepted:
        """Commit a single job. Raises what `accept_singles` answers, and DatabaseUnavailable."""
        earlier = await self.idempotency.admit(job, lambda: self._admission.check(caller, 1))
        if earlier is not None:
            return earlier
        current().make_error = OutcomeOpen
        if job.idempotency_key is None:
            accepted = await self._singles.submit(job)
        else:
            with self.idempotency.holding(job.owner, job.idempotency_key):
                accepted = await self._singles.submit(job)
        if not accepted.replayed:
            self._admission.add(job.owner, 1)
            self._metrics.accepted_single()
        return accepted

    async def admit_upload(self, caller: Caller, key: str | None) -> None:
        """Refuse an upload before it comes rather than after, unless it may repeat what was accepted."""
        try:
            self._admission.check(caller, 1)
        except REFUSALS:
            # With a payload that no job has, so that any job of this key answers that it was another.
            if await self.idempotency.earlier(caller.owner, key, None) is None:
                raise

    async def drain(self) -> None:
        """Return when every job that was handed in is accepted or not; soon, even where PostgreSQL leaves that open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._singles.drain()
                await self.bulk.drain()

    def _accept_group(self, jobs: Sequence[SingleJob]) -> Sequence[Accepted | Exception]:
        answers: Sequence[Accepted | Exception]
        try:
            answers = self._accept(jobs)
        except DatabaseUnavailable as error:
            answers = self._settle_unknown(jobs, error) if error.may_be_repeated else [error for _ in jobs]
        except Exception as error:  # noqa: BLE001 - raised again, to the caller whose job it is
            # Something in one job that PostgreSQL or its driver refuses: the others must not pay for it. Nothing was
            # committed.
            if len(jobs) == 1 or is_about_schema(error):
                return [error for _ in jobs]
            return [answer for job in jobs for answer in self._accept_group([job])]
        batches = {batch_id for answer in answers if isinstance(answer, Accepted) for batch_id in answer.batch_ids}
        self._group_spacing.sent(batches)
        self._publisher.put(len(batches), Queue.INTERACTIVE)
        return answers

    def _accept(self, jobs: Sequence[SingleJob]) -> list[Accepted | PredictqError]:
        """Accept them; where a table of clients is locked by somebody, or slow, without asking it for some seconds.

        One that does not take the question, as when its key has got another type, is not asked either.
        """
        jobs = [self._without_refusing(job) for job in jobs]
        look_up = monotonic() >= self._unseen_until
        try:
            return self._accept_now(jobs, look_up=look_up)
        except (DatabaseBlocked, StatementCancelled) as error:
            if not look_up:
                raise
            reason = str(error)
        except ProgrammingError as error:
            refusing = self._refusing(jobs) if look_up else []
            if not refusing:
                raise
            log.warning("clients_not_looked_up", sources=refusing, reason=words_of(error), seconds=_UNSEEN_SECONDS)
            self._refusing_until |= dict.fromkeys(refusing, monotonic() + _UNSEEN_SECONDS)
            return self._accept_missing(jobs, self._accept)
        accepted = self._accept_missing(jobs, lambda missing: self._accept_now(missing, look_up=False))
        # Without a look it came through: a look was what it waited for.
        self._unseen_until = monotonic() + _UNSEEN_SECONDS
        log.warning("clients_not_looked_up", reason=reason, seconds=_UNSEEN_SECONDS)
        return accepted

    def _accept_missing(
        self, jobs: Sequence[SingleJob], accept: Callable[[Sequence[SingleJob]], list[Accepted | PredictqError]]
    ) -> list[Accepted | PredictqError]:
        """Accept what is not there: what was given up may have come after the acceptance, why others were refused."""
        found = self._find(jobs)
        missing = [job for job in jobs if job.job_id not in found]
        accepted = dict(zip((job.job_id for job in missing), accept(missing), strict=True))
        return [found.get(job.job_id) or accepted[job.job_id] for job in jobs]

    def _without_refusing(self, job: SingleJob) -> SingleJob:
        """The job, without a look at its client where its source did not take the question a moment ago."""
        lookup = job.target.lookup
        if lookup is None or monotonic() >= self._refusing_until.get(lookup.source, 0.0):
            return job
        return replace(job, target=replace(job.target, lookup=None))

    def _refusing(self, jobs: Sequence[SingleJob]) -> list[str]:
        """The sources that do not take the question; none where the error came from somewhere else."""
        lookups = {job.target.lookup.source: job.target.lookup for job in jobs if job.target.lookup is not None}
        with autocommit(self._singles_threads.engine) as connection:
            return sorted(name for name, lookup in lookups.items() if not can_be_asked(connection, lookup))

    def _accept_now(self, jobs: Sequence[SingleJob], *, look_up: bool) -> list[Accepted | PredictqError]:
        with autocommit(self._singles_threads.engine) as connection:
            return accept_singles(connection, jobs, look_up=look_up)

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
                if not still.may_be_repeated:
                    break
                sleep(0.1)
            except Exception as refusal:  # noqa: BLE001 - as above
                if isinstance(refusal, DBAPIError) and met_itself(refusal):
                    continue
                if len(jobs) == 1:
                    return [refusal]
                return [answer for job in jobs for answer in self._settle_unknown([job], error)]
            else:
                return [found.get(job.job_id) or repeated[job.job_id] for job in jobs]
        return [error for _ in jobs]

    def _find(self, jobs: Sequence[SingleJob]) -> dict[UUID, Accepted]:
        with autocommit(self._singles_threads.engine) as connection:
            records = read_jobs(connection, [job.job_id for job in jobs])
        return {
            record.job_id: Accepted(
                record.job_id,
                record.model,
                record.model_version,
                Queue.INTERACTIVE,
                (record.request_id.batch_id,),
                record.request_id,
                created_at=record.created_at,
            )
            for record in records.values()
            if record.request_id is not None
        }
