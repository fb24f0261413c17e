"""Summaries of jobs, each read at most once in two seconds, however many people watch the job."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.server.database_threads import DatabaseThreads
from shared.jobs.records import JobRecord
from shared.jobs.summary import Summary, read_summary

_FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class DatedSummary:
    """A summary, and when it was made."""

    summary: Summary
    at: datetime
    made: float  # by time.monotonic()

    def as_dict(self) -> dict[str, Any]:
        """In the shape of the wire."""
        values = asdict(self.summary)
        values["spread"]["labels"] = [{"label": label, "count": count} for label, count in self.summary.spread.labels]
        return values

    def seconds_left(self, rows: int | None) -> float | None:
        """Until `rows` are answered, at the rate of the last seconds; None where that cannot be said."""
        rate = self.summary.rows_per_second
        return rows / rate if rows is not None and rate else None


class Summaries:
    """Those that were read lately."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, DatedSummary] = OrderedDict()
        self._reading: dict[UUID, asyncio.Task[DatedSummary]] = {}

    async def read(self, threads: DatabaseThreads, owner: str, job: JobRecord) -> DatedSummary:
        """The summary of a job, at most two seconds old. Older ones go: an erasure may have changed them."""
        now = time.monotonic()
        while self._known and now - next(iter(self._known.values())).made >= _FRESH_SECONDS:
            self._known.popitem(last=False)
        if (known := self._known.get(job.job_id)) is not None:
            return known
        # Shared, so a caller that goes away must not take it from the others.
        return await asyncio.shield(self._ask(threads, owner, job.job_id))

    def _ask(self, threads: DatabaseThreads, owner: str, job_id: UUID) -> asyncio.Task[DatedSummary]:
        """Read a summary once for all who ask at a time."""
        task = self._reading.get(job_id)
        if task is None:
            task = self._reading[job_id] = asyncio.create_task(self._read(threads, owner, job_id))
            task.add_done_callback(lambda done: self._asked(job_id, done))
        return task

    def _asked(self, job_id: UUID, task: asyncio.Task[DatedSummary]) -> None:
        del self._reading[job_id]
        if not task.cancelled():
            task.exception()  # whoever waits is told; when nobody does, the next caller asks again

    async def _read(self, threads: DatabaseThreads, owner: str, job_id: UUID) -> DatedSummary:
        begun = time.monotonic()
        found = await threads.read(lambda connection: read_summary(connection, job_id), owner=owner)
        made = self._known[job_id] = DatedSummary(found, datetime.now(UTC), begun)
        self._known.move_to_end(job_id)
        return made
