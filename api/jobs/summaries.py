"""Summaries of jobs, each read at most once in two seconds, however many people watch the job."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.server.database_threads import DatabaseThreads
from api.server.shared_tasks import SharedTasks
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
        self._reading = SharedTasks[UUID, DatedSummary]()

    async def read(self, threads: DatabaseThreads, owner: str, job: JobRecord) -> DatedSummary:
        """The summary of a job, at most two seconds old. Older ones go: an erasure may have changed them."""
        now = time.monotonic()
        while self._known and now - next(iter(self._known.values())).made >= _FRESH_SECONDS:
            self._known.popitem(last=False)
        if (known := self._known.get(job.job_id)) is not None:
            return known
        return await self._reading.ask(job.job_id, lambda: self._read(threads, owner, job.job_id))

    async def _read(self, threads: DatabaseThreads, owner: str, job_id: UUID) -> DatedSummary:
        begun = time.monotonic()
        found = await threads.read(lambda connection: read_summary(connection, job_id), owner=owner)
        made = self._known[job_id] = DatedSummary(found, datetime.now(UTC), begun)
        self._known.move_to_end(job_id)
        return made
