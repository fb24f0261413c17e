"""A page of requests anew without a client: her keys, her spelling and the features that came with her calls."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from shared.erasure.keys import ClientKey


@dataclass(frozen=True, slots=True)
class ErasedRows:
    """What was rewritten in one page of requests."""

    rows: tuple[int, ...]  # from 0
    job_ids: tuple[UUID, ...]


_LOCK = """
SELECT array_positions(r.{column}, CAST(:value AS {type})) AS positions, r.job_id, r.job_ids,
       r.spelled IS NOT NULL AS has_spelled, r.given IS NOT NULL AS has_given
FROM predictq.batch_requests r
WHERE r.batch_id = :batch_id AND r.source_id IS NOT DISTINCT FROM CAST(:source_id AS integer) FOR UPDATE
"""


def erase_requests(connection: Connection, key: ClientKey, batch_id: int) -> ErasedRows | None:
    """Set her rows of the page to null; None where there are none. `connection` must be in a transaction of upkeep.

    Her jobs are noted nowhere yet.
    """
    values = {"value": key.value, "source_id": key.source.id, "batch_id": batch_id}
    row = connection.execute(text(_LOCK.format(column=key.column, type=key.sql_type)), values).one_or_none()
    if row is None or not row.positions:
        return None
    positions: list[int] = row.positions
    changes = [f"{key.column}[{n}] = NULL" for n in positions]
    if row.has_given:
        changes += [f"given[{n}] = NULL" for n in positions]
    if row.has_spelled:
        changes.append("spelled = spelled - CAST(:row_numbers AS text[])")
    connection.execute(
        text(f"UPDATE predictq.batch_requests SET {', '.join(changes)} WHERE batch_id = :batch_id"),
        {"batch_id": batch_id, "row_numbers": [str(n - 1) for n in positions]},
    )
    mark_for_compaction(connection, "batch_requests", batch_id)
    jobs = [row.job_id] if row.job_id is not None else [row.job_ids[n - 1] for n in positions]
    return ErasedRows(tuple(n - 1 for n in positions), tuple(dict.fromkeys(jobs)))


def mark_for_compaction(connection: Connection, parent: str, batch_id: int) -> None:
    """Note that the old bytes of a page are still in the file of its partition."""
    connection.execute(_MARK, {"parent": parent, "batch_id": batch_id})


_MARK = text("""
UPDATE predictq.partitions SET needs_compaction = true, marked_xid = pg_current_xact_id()
WHERE parent = :parent AND first_batch_id <= :batch_id AND :batch_id < end_batch_id
""")


def note_jobs(connection: Connection, erasure_id: UUID, job_ids: tuple[UUID, ...]) -> None:
    """Remember jobs that hold her, for the places that are found by job."""
    connection.execute(_NOTE_JOBS, {"id": str(erasure_id), "job_ids": [str(job_id) for job_id in job_ids]})


_NOTE_JOBS = text("""
INSERT INTO predictq.erasure_jobs (erasure_id, job_id)
SELECT DISTINCT CAST(:id AS uuid), job_id FROM unnest(CAST(:job_ids AS uuid[])) job_id ON CONFLICT DO NOTHING
""")
