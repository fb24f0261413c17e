"""What holds keep: bulk jobs, and pages of single jobs, with the rows for whose sake they stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, text

from shared.retention.partitions.ranges import BatchRange
from shared.retention.rules.errors import HoldsChanged


@dataclass(frozen=True, slots=True)
class Kept:
    """What must stay by holds on jobs and clients. Holds on models are seen to by the cutoffs."""

    jobs: frozenset[UUID] = frozenset()  # bulk jobs
    pages: frozenset[int] = frozenset()  # of single jobs, by batch id
    whole_jobs: frozenset[UUID] = frozenset()  # those of `jobs` that are held themselves: all their rows stay
    rows: Mapping[int, frozenset[int]] = field(default_factory=dict)  # held rows by batch id, of single and bulk jobs
    newest_hold: int = 0  # the newest hold there was


def read_kept(connection: Connection, ranges: Iterable[BatchRange]) -> Kept:
    """What holds keep in these ranges.

    The ranges must be all that have something due: a job that is held by a page in one keeps its pages in the others.
    """
    newest = connection.execute(_NEWEST).scalar_one()  # first: a hold that comes meanwhile is noticed later
    clients = connection.execute(_CLIENT_HOLDS).all()
    held_jobs = [str(job_id) for job_id in connection.execute(_JOB_HOLDS).scalars()]
    jobs: set[UUID] = {UUID(job_id) for job_id in held_jobs}
    pages: set[int] = set()
    rows: dict[int, set[int]] = defaultdict(set)
    for table in (batches.table("batch_requests") for batches in ranges) if clients or held_jobs else ():
        found = [*connection.execute(text(_HELD_JOBS.format(table=table)), {"held": held_jobs})]
        for hold in clients:
            values = {"source": hold.source_id, "key": hold.client_key, **_typed(hold.client_key)}
            found += connection.execute(text(_HELD_CLIENT.format(table=table)), values)
        for batch_id, job_id, positions in found:
            rows[batch_id] |= {position - 1 for position in positions}
            if job_id is None:
                pages.add(batch_id)
            else:
                jobs.add(job_id)
    by_batch = {batch_id: frozenset(numbers) for batch_id, numbers in rows.items()}
    whole = frozenset(UUID(job_id) for job_id in held_jobs)
    return Kept(frozenset(jobs), frozenset(pages), whole, by_batch, newest)


def refuse_new_hold(connection: Connection, newest_hold: int) -> None:
    """Raise HoldsChanged where a hold came since `newest_hold`; from here to the commit none can come."""
    connection.execute(text("LOCK TABLE predictq.holds IN SHARE MODE"))
    if connection.execute(_NEWEST).scalar_one() != newest_hold:
        raise HoldsChanged


def _typed(key: str) -> dict[str, object]:
    """The key as the column types that it may be stored in."""
    number = int(key) if _is_integer(key) else None
    try:
        as_uuid: str | None = str(UUID(key)) if len(key) == 36 else None
    except ValueError:
        as_uuid = None
    return {"number": number if number is not None and -(2**63) <= number < 2**63 else None, "uuid": as_uuid}


def _is_integer(key: str) -> bool:
    return key.isascii() and key.removeprefix("-").isdigit() and len(key) <= 20


_NEWEST = text("SELECT coalesce(max(id), 0) FROM predictq.holds")
_CLIENT_HOLDS = text("""
SELECT source_id, client_key FROM predictq.holds WHERE client_key IS NOT NULL AND released_at IS NULL
""")
_JOB_HOLDS = text("SELECT job_id FROM predictq.holds WHERE job_id IS NOT NULL AND released_at IS NULL")
# Pages of single jobs that are held; a bulk job is known by its id alone.
_HELD_JOBS = """
SELECT r.batch_id, r.job_id, ARRAY(
    SELECT u.n FROM unnest(r.job_ids) WITH ORDINALITY AS u (id, n) WHERE u.id = ANY (CAST(:held AS uuid[])))
FROM {table} r WHERE r.job_ids && CAST(:held AS uuid[])
"""
_HELD_CLIENT = """
SELECT r.batch_id, r.job_id,
       CASE WHEN CAST(:number AS bigint) IS NULL THEN '{{}}' ELSE
            coalesce(array_positions(r.keys_int8, CAST(:number AS bigint)), '{{}}') END
       || CASE WHEN CAST(:uuid AS uuid) IS NULL THEN '{{}}' ELSE
               coalesce(array_positions(r.keys_uuid, CAST(:uuid AS uuid)), '{{}}') END
       || coalesce(array_positions(r.keys_text, CAST(:key AS text)), '{{}}')
FROM {table} r
WHERE (CAST(:source AS integer) IS NULL OR r.source_id = :source)
  AND (CAST(:number AS bigint) = ANY (r.keys_int8) OR CAST(:uuid AS uuid) = ANY (r.keys_uuid)
       OR CAST(:key AS text) = ANY (r.keys_text))
"""
