"""Lists of an owner's jobs, newest first.

Which jobs belong to a list is found first, in indexes alone; only then is read how each of them stands. What makes that
hard is a single job that succeeds: nothing is written into its row, because that would cost as much as its answer.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, text

from shared.jobs.records import JobRecord, read_jobs
from shared.status import JobStatus


def list_jobs(
    connection: Connection, owner: str, *, limit: int, before: UUID | None = None, status: JobStatus | None = None
) -> list[JobRecord]:
    """At most `limit` jobs of `owner`, newest first, older than `before`; ids are UUIDv7, so id order is age order.

    A job that changes meanwhile is shown as it stands now.
    """
    values = {"owner": owner, "before": str(before or _NEWEST), "status": status and status.value, "limit": limit}
    found: list[UUID] = list(connection.execute(_FIND, values).scalars())
    jobs = read_jobs(connection, found) if found else {}
    return [jobs[job_id] for job_id in found if job_id in jobs]


_NEWEST = UUID(int=2**128 - 1)
_FIND = text("""
SELECT predictq.find_jobs(:owner, CAST(:status AS text), CAST(:before AS uuid), CAST(:limit AS integer))
""")
