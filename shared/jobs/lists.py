"""Lists of an owner's jobs, newest first.

Which jobs belong to a list is found first, in indexes alone; only then is read how each of them stands. What makes that
hard is a single job that succeeds: nothing is written into its row, because that would cost as much as its answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.jobs.records import JobRecord, read_jobs
from shared.status import JobStatus


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; all that is given must hold. `name` is a part of a job's name, in whatever case."""

    status: JobStatus | None = None
    model: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # accepted before then
    has_errors: bool | None = None  # whether a row of it, or the job itself, has an error; of jobs that have ended

    @property
    def is_of_status_alone(self) -> bool:
        """Whether nothing but a status is asked for, and whether there are errors."""
        return self.model is None and self.name is None and self.since is None and self.until is None


def list_jobs(
    connection: Connection,
    owner: str,
    *,
    limit: int,
    before: UUID | None = None,
    status: JobStatus | None = None,
    has_errors: bool | None = None,
) -> list[JobRecord]:
    """At most `limit` jobs of `owner`, newest first, older than `before`; ids are UUIDv7, so id order is age order.

    With `has_errors` those that have ended, with an error or without one. A job that changes meanwhile is shown as it
    stands now.
    """
    return _read(connection, _find(connection, _values(owner, status, has_errors, before or _NEWEST, limit)))


def find_jobs(
    connection: Connection,
    owner: str,
    wanted: JobFilter,
    *,
    limit: int,
    before: UUID | None = None,
    models: Collection[str] | None = None,
) -> tuple[list[JobRecord], UUID | None]:
    """The same of those that fit, and where to go on when fewer than `limit` were found and there may be more.

    With `models` jobs of other models are left out, whatever is asked for. No index knows a job's model: so many of
    the status are looked through at a time. Bulk jobs, which alone have names, are few, and in an index of their own.
    """
    if wanted.is_of_status_alone and models is None:
        found_jobs = list_jobs(
            connection, owner, limit=limit, before=before, status=wanted.status, has_errors=wanted.has_errors
        )
        return found_jobs, None
    values = {
        "model": wanted.model,
        "models": None if models is None else list(models),
        "name": wanted.name,
        "since": wanted.since,
        "until": wanted.until,
    }
    newest, oldest = connection.execute(_SPAN, values).one()
    after = min(item for item in (before, newest, _NEWEST) if item is not None)
    if wanted.name is not None:
        return _find_named(connection, {**values, "owner": owner}, wanted, after, limit)
    found: list[UUID] = []
    for _ in range(_MOST_PORTIONS):
        portion = {
            **_values(owner, wanted.status, wanted.has_errors, after, _PORTION),
            **values,
            "most": limit - len(found),
        }
        chosen, size, last = connection.execute(_CHOOSE, portion).one()
        found += chosen
        is_last = size < _PORTION or (oldest is not None and last < oldest)
        if is_last or len(found) >= limit:
            return _read(connection, found[:limit]), None
        after = last
    return _read(connection, found), after


def _find(connection: Connection, values: dict[str, Any]) -> list[UUID]:
    return list(connection.execute(_FIND, values).scalars())


def _find_named(
    connection: Connection, given: dict[str, Any], wanted: JobFilter, after: UUID, limit: int
) -> tuple[list[JobRecord], UUID | None]:
    """The same among bulk jobs, which alone have names: how they stand is known when they are read."""
    found: list[JobRecord] = []
    for _ in range(_MOST_PORTIONS):
        values = {**given, "before": str(after), "limit": _NAMED_PORTION}
        portion = list(connection.execute(_NAMED, values).scalars())
        found += [job for job in _read(connection, portion) if _stands_so(job, wanted)]
        if len(portion) < _NAMED_PORTION or len(found) >= limit:
            return found[:limit], None
        after = portion[-1]
    return found, after


def _stands_so(job: JobRecord, wanted: JobFilter) -> bool:
    if wanted.status not in (None, job.status):
        return False
    has_errors = job.failed > 0 or job.status is JobStatus.FAILED
    return wanted.has_errors is None or (job.status.is_terminal and has_errors == wanted.has_errors)


def _values(owner: str, status: JobStatus | None, has_errors: bool | None, before: UUID, limit: int) -> dict[str, Any]:
    return {
        "owner": owner,
        "before": str(before),
        "status": status and status.value,
        "has_errors": has_errors,
        "limit": limit,
    }


def _read(connection: Connection, found: list[UUID]) -> list[JobRecord]:
    jobs = read_jobs(connection, found) if found else {}
    return [jobs[job_id] for job_id in found if job_id in jobs]


_PORTION, _NAMED_PORTION, _MOST_PORTIONS = 5_000, 500, 10
_NEWEST = UUID(int=2**128 - 1)
_FIND = text("""
SELECT predictq.find_jobs(:owner, CAST(:status AS text), CAST(:before AS uuid), CAST(:limit AS integer),
                          CAST(:has_errors AS boolean))
""")
# An id is made some moments before its row.
_SPAN = text("""
SELECT predictq.first_uuid_of(CAST(:until AS timestamptz) + interval '1 minute'),
       predictq.first_uuid_of(CAST(:since AS timestamptz) - interval '1 minute')
""")
_FITS = """
    (CAST(:model AS text) IS NULL OR j.model_version_id = ANY (ARRAY(
        SELECT v.id FROM predictq.model_versions v WHERE v.model = CAST(:model AS text))))
    AND (CAST(:models AS text[]) IS NULL OR j.model_version_id = ANY (ARRAY(
        SELECT v.id FROM predictq.model_versions v WHERE v.model = ANY (CAST(:models AS text[])))))
    AND (CAST(:since AS timestamptz) IS NULL OR j.created_at >= CAST(:since AS timestamptz))
    AND (CAST(:until AS timestamptz) IS NULL OR j.created_at < CAST(:until AS timestamptz))
"""
# The ids of a portion stay in PostgreSQL: to fetch thousands of them and send them back took as long as all the rest.
_CHOOSE = text(f"""
WITH portion AS MATERIALIZED (
    SELECT f.id
    FROM predictq.find_jobs(:owner, CAST(:status AS text), CAST(:before AS uuid), CAST(:limit AS integer),
                            CAST(:has_errors AS boolean)) f (id)
)
SELECT ARRAY(
    SELECT j.id FROM portion p JOIN predictq.jobs j ON j.id = p.id
    WHERE {_FITS}
    ORDER BY j.id DESC LIMIT :most
), (SELECT count(*) FROM portion), (SELECT p.id FROM portion p ORDER BY p.id LIMIT 1)
""")
_NAMED = text(f"""
SELECT j.id FROM predictq.jobs j
WHERE j.kind = 'bulk' AND j.owner = :owner AND j.id < CAST(:before AS uuid)
    AND position(lower(CAST(:name AS text)) IN lower(j.name)) > 0 AND {_FITS}
ORDER BY j.id DESC LIMIT :limit
""")
