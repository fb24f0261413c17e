"""What holds keep: bulk jobs, and pages of single jobs, with the rows for whose sake they stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, text

from shared.erasure.client_holds import spellings
from shared.retention.partitions.ranges import BatchRange


@dataclass(frozen=True, slots=True)
class Kept:
    """What must stay by holds on jobs and clients. Holds on models are seen to by the cutoffs."""

    jobs: frozenset[UUID] = frozenset()  # bulk jobs
    pages: frozenset[int] = frozenset()  # of single jobs, by batch id
    whole_jobs: frozenset[UUID] = frozenset()  # those of `jobs` that are held themselves: all their rows stay
    rows: Mapping[int, frozenset[int]] = field(default_factory=dict)  # held rows by batch id, of single and bulk jobs


def read_kept(connection: Connection, ranges: Iterable[BatchRange]) -> Kept:
    """What holds keep in these ranges.

    The ranges must be all that have something due: a job that is held by a page in one keeps its pages in the others.
    """
    clients = connection.execute(_CLIENT_HOLDS).all()
    held_jobs = [str(job_id) for job_id in connection.execute(_JOB_HOLDS).scalars()]
    keys_of = {
        hold.id: {hold.client_key} if hold.source_id else spellings(connection, hold.client_key) for hold in clients
    }
    jobs: set[UUID] = {UUID(job_id) for job_id in held_jobs}
    pages: set[int] = set()
    rows: dict[int, set[int]] = defaultdict(set)
    for table in (batches.table("batch_requests") for batches in ranges) if clients or held_jobs else ():
        found = [*connection.execute(text(_HELD_JOBS.format(table=table)), {"held": held_jobs})]
        for hold in clients:
            values = {"source": hold.source_id, **_typed(keys_of[hold.id])}
            found += connection.execute(text(_HELD_CLIENT.format(table=table)), values)
        for batch_id, job_id, positions in found:
            rows[batch_id] |= {position - 1 for position in positions}
            if job_id is None:
                pages.add(batch_id)
            else:
                jobs.add(job_id)
    by_batch = {batch_id: frozenset(numbers) for batch_id, numbers in rows.items()}
    whole = frozenset(UUID(job_id) for job_id in held_jobs)
    return Kept(frozenset(jobs), frozenset(pages), whole, by_batch)


def _typed(keys: Iterable[str]) -> dict[str, object]:
    """The key, however it is written, as the column types that it may be stored in."""
    texts = sorted(keys)
    numbers = [int(key) for key in texts if _is_integer(key)]
    return {
        "texts": texts,
        "numbers": [number for number in numbers if -(2**63) <= number < 2**63],
        "uuids": [key for key in texts if _is_uuid(key)],
    }


def _is_uuid(key: str) -> bool:
    try:
        return len(key) == 36 and bool(UUID(key))
    except ValueError:
        return False


def _is_integer(key: str) -> bool:
    return key.isascii() and key.removeprefix("-").isdigit() and len(key) <= 20


_CLIENT_HOLDS = text("""
SELECT id, source_id, client_key FROM predictq.holds WHERE client_key IS NOT NULL AND released_at IS NULL
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
       ARRAY(SELECT u.n FROM unnest(r.keys_int8) WITH ORDINALITY AS u (key, n)
             WHERE u.key = ANY (CAST(:numbers AS bigint[]))
             UNION ALL
             SELECT u.n FROM unnest(r.keys_uuid) WITH ORDINALITY AS u (key, n)
             WHERE u.key = ANY (CAST(:uuids AS uuid[]))
             UNION ALL
             SELECT u.n FROM unnest(r.keys_text) WITH ORDINALITY AS u (key, n)
             WHERE u.key = ANY (CAST(:texts AS text[])))
FROM {table} r
WHERE (CAST(:source AS integer) IS NULL OR r.source_id = :source)
  AND (r.keys_int8 && CAST(:numbers AS bigint[]) OR r.keys_uuid && CAST(:uuids AS uuid[])
       OR r.keys_text && CAST(:texts AS text[]))
"""
