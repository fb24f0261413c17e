"""Reading job statuses: reads that arrive together are answered by one query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from api.access.caller import Caller
from api.server.coalescer import Coalescer, each_alone
from api.server.database_threads import PATIENCE_SECONDS, DatabaseThreads, late, read_twice
from shared.errors import JobUnknown
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import JobRecord, read_jobs
from shared.status import JobStatus

_MOST = 512  # jobs per query


class Statuses:
    """The status of jobs, one at a time for callers and many at a time for PostgreSQL."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads
        self._reads: Coalescer[UUID, JobRecord | None] = Coalescer(
            each_alone(self._read_group),
            threads.executor,
            max_items=_MOST,
            patience_seconds=PATIENCE_SECONDS,
            make_late_error=late,
        )

    async def read(self, job_id: UUID, caller: Caller) -> JobRecord:
        """One job of the caller's. Raises JobUnknown, also where it is another owner's, and DatabaseUnavailable."""
        job = await self._reads.submit(job_id)
        if job is None or job.owner != caller.owner or not caller.may_use(job.model):
            raise JobUnknown(job_id)
        return job

    async def again(self, job: JobRecord) -> JobRecord:
        """The same job as it stands now, for whom has seen it. Raises JobUnknown and DatabaseUnavailable."""
        now = await self._reads.submit(job.job_id)
        if now is None:
            raise JobUnknown(job.job_id)
        return now

    async def after(
        self,
        accepted: Accepted,
        caller: Caller,
        client_id: Any = None,
        key: str | None = None,
        *,
        name: str | None = None,
        deadline: datetime | None = None,
    ) -> JobRecord:
        """The job that was accepted, for the caller, and of `client_id` where it is single. Raises what `read` does.

        What was accepted just now needs no read; a replay is the earlier job, as it stands now.
        """
        if accepted.created_at is None:
            return await self.read(accepted.job_id, caller)
        return JobRecord(
            accepted.job_id,
            "bulk" if accepted.request_id is None else "single",
            caller.owner,
            JobStatus.QUEUED,
            accepted.model,
            accepted.model_version,
            *(accepted.request_count, 0, 0, 0),
            accepted.created_at,
            request_id=accepted.request_id,
            client_id=client_id,
            key=key,
            name=name,
            deadline=deadline,
        )

    def _read_group(self, job_ids: Sequence[UUID]) -> list[JobRecord | None]:
        def query(connection: Connection) -> dict[UUID, JobRecord]:
            return read_jobs(connection, list(dict.fromkeys(job_ids)))

        jobs = read_twice(self._threads, query)
        return [jobs.get(job_id) for job_id in job_ids]
