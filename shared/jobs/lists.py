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

from sqlalchemy import Connection, TextClause, text

from shared.jobs.records import JobRecord, read_jobs
from shared.status import JobStatus


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; all that is given must hold. `name` is a part of a job's name, in whatever case.

    `id` is what people read and type of an id: its beginning, and its end after `…`; see ID_PART.
    """

    status: JobStatus | None = None
    model: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None  # accepted before then
    kind: str | None = None  # single or bulk
    id: str | None = None
    has_errors: bool | None = None  # whether a row of it, or the job itself, has an error; of jobs that have ended

    @property
    def is_of_status_alone(self) -> bool:
        """Whether nothing but a status is asked for, and whether there are errors."""
        return self == JobFilter(self.status, has_errors=self.has_errors)

    @property
    def is_of_few(self) -> bool:
        """Whether it is looked for among bulk jobs alone; of those that are open, another index holds fewer yet."""
        is_of_ended = self.kind == "bulk" and self.status not in (JobStatus.QUEUED, JobStatus.RUNNING)
        return self.name is not None or is_of_ended


def find_jobs(
    connection: Connection,
    owner: str,
    wanted: JobFilter,
    *,
    limit: int,
    before: UUID | None = None,
    models: Collection[str] | None = None,
) -> tuple[list[JobRecord], UUID | None]:
    """At most `limit` jobs of `owner` that fit, newest first, older than `before`; ids are UUIDv7: in order of age.

    Also where to go on when fewer than `limit` were found and there may be more. A job that changes meanwhile is shown
    as it stands now.

    With `models` jobs of other models are left out, whatever is asked for. No index knows a job's model: so many of
    the status are looked through at a time. Bulk jobs, which alone have names, are few, and in an index of their own.
    The beginning of an id is a range of ids.
    """
    if wanted.is_of_status_alone and models is None:
        values = _values(owner, wanted.status, wanted.has_errors, before or _NEWEST, limit)
        return _read_page(connection, _find(connection, values), limit)
    values = {
        "model": wanted.model,
        "models": None if models is None else list(models),
        "name": wanted.name,
        "since": wanted.since,
        "until": wanted.until,
        "kind": wanted.kind,
    }
    newest, oldest = connection.execute(_SPAN, values).one()
    after = min(item for item in (before, newest, _NEWEST) if item is not None)
    if wanted.id is not None:
        first, last, ending = _span_of(wanted.id)
        values |= {"owner": owner, "first": str(first), "ending": ending}
        return _find_read(connection, _OF_ID, values, wanted, min(after, last), limit)
    if wanted.is_of_few:
        return _find_read(connection, _BULK, {**values, "owner": owner}, wanted, after, limit)
    found: list[UUID] = []
    for _ in range(_MOST_PORTIONS):
        portion = {
            **_values(owner, wanted.status, wanted.has_errors, after, _PORTION),
            **values,
            "most": limit - len(found),
        }
        chosen, size, oldest_found = connection.execute(_CHOOSE, portion).one()
        found += chosen
        is_last = size < _PORTION or (oldest is not None and oldest_found < oldest)
        if is_last or len(found) >= limit:
            return _read_page(connection, found[:limit], limit)
        after = oldest_found
    return _read(connection, found), after


def _find(connection: Connection, values: dict[str, Any]) -> list[UUID]:
    return list(connection.execute(_FIND, values).scalars())


def _find_read(
    connection: Connection, query: TextClause, given: dict[str, Any], wanted: JobFilter, after: UUID, limit: int
) -> tuple[list[JobRecord], UUID | None]:
    """The same of jobs that are few in their index: how they stand is known when they are read."""
    size = limit if wanted.status is None and wanted.has_errors is None else _READ_PORTION
    found: list[JobRecord] = []
    for _ in range(_MOST_PORTIONS):
        portion = list(connection.execute(query, {**given, "before": str(after), "limit": size}).scalars())
        found += [job for job in _read(connection, portion) if _stands_so(job, wanted)]
        if len(portion) < size or len(found) >= limit:
            return found[:limit], None
        after = portion[-1]
    return found, after


def _span_of(part: str) -> tuple[UUID, UUID, str | None]:
    """The first id that begins so, the one after the last, and how an id must end."""
    beginning, _, ending = part.lower().replace("-", "").partition("…")
    last = int(beginning.ljust(_DIGITS, "f"), 16)
    return UUID(beginning.ljust(_DIGITS, "0")), UUID(int=min(last + 1, _NEWEST.int)), ending or None


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


def _read_page(connection: Connection, found: list[UUID], limit: int) -> tuple[list[JobRecord], UUID | None]:
    """A page of `limit` jobs at most. It is short, and more may come, where retention took some that were found."""
    jobs = _read(connection, found)
    return jobs, found[-1] if len(jobs) < len(found) == limit else None


def _read(connection: Connection, found: list[UUID]) -> list[JobRecord]:
    jobs = read_jobs(connection, found) if found else {}
    return [jobs[job_id] for job_id in found if job_id in jobs]


ID_PART = r"^([0-9A-Fa-f]-?){8,32}(…[0-9A-Fa-f]{4})?$"  # the beginning of an id; after … its last four digits
_DIGITS = 32  # of an id
_PORTION, _READ_PORTION, _MOST_PORTIONS = 5_000, 500, 10
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
    AND (CAST(:kind AS text) IS NULL OR j.kind = CAST(:kind AS text))
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
_NAMED = "(CAST(:name AS text) IS NULL OR position(lower(CAST(:name AS text)) IN lower(j.name)) > 0)"
_BULK = text(f"""
SELECT j.id FROM predictq.jobs j
WHERE j.kind = 'bulk' AND j.owner = :owner AND j.id < CAST(:before AS uuid) AND {_NAMED} AND {_FITS}
ORDER BY j.id DESC LIMIT :limit
""")
# An owner's jobs are said as a range, for the reason that predictq.find_jobs_between gives.
_OF_ID = text(f"""
SELECT j.id FROM predictq.jobs j
WHERE j.owner >= :owner AND (j.owner, j.id) < (:owner, CAST(:before AS uuid))
    AND j.id < CAST(:before AS uuid) AND j.id >= CAST(:first AS uuid)
    AND (CAST(:ending AS text) IS NULL OR right(CAST(j.id AS text), 4) = CAST(:ending AS text)) AND {_NAMED} AND {_FITS}
ORDER BY j.owner DESC, j.id DESC LIMIT :limit
""")
