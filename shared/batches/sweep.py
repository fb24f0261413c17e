"""The sweep: how many messages a queue lacks. A message says only that its queue has work, so they can be counted.

Whatever was lost, and wherever, shows as more work than messages. A message too many costs a claim that finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text

from shared.postgres.engine import transaction
from shared.status import Queue

_MOST = 1000  # messages per sweep and queue: to put them on the queue takes well under a lease

_TAKEN = """requirements = ANY (:requirements) AND NOT predictq.is_paused(queue, model_version_id, reads_source)
       AND (CAST(:models AS text[]) IS NULL OR EXISTS (
           SELECT FROM predictq.model_versions v
           WHERE v.id = model_version_id AND v.model = ANY (CAST(:models AS text[]))))"""
# Work that can be claimed now: it waits since before the grace, or its claim has run out.
_CLAIMABLE = text(f"""
SELECT b.queue, count(*) AS batches FROM (
    (SELECT queue FROM predictq.prediction_batches
     WHERE status = 'queued' AND queue = 'interactive'
       AND created_at < clock_timestamp() - make_interval(secs => :grace)
       AND {_TAKEN} LIMIT {_MOST})
    UNION ALL
    (SELECT queue FROM predictq.prediction_batches
     WHERE status = 'queued' AND queue = 'bulk' AND created_at < clock_timestamp() - make_interval(secs => :grace)
       AND {_TAKEN} LIMIT {_MOST})
    UNION ALL
    (SELECT queue FROM predictq.prediction_batches
     WHERE status = 'running' AND lease_until < clock_timestamp() AND queue <> 'plan'
       AND {_TAKEN} LIMIT {_MOST})
) b GROUP BY b.queue
""")


def missing_messages(
    engine: Engine,
    messages: Mapping[Queue, int],
    *,
    grace_seconds: float,
    requirements: Sequence[str] = ("",),
    models: Sequence[str] | None = None,
) -> dict[Queue, int]:
    """How many messages each queue lacks, of those named in `messages`, which says how many it holds.

    Work that came within the last `grace_seconds` is left out: its message may be on its way. So is what is paused, and
    what needs more than `requirements` or is of none of `models`, if any are named. Any number of sweepers may ask at
    once.
    """
    with transaction(engine) as connection:
        values = {
            "grace": grace_seconds,
            "requirements": list(requirements),
            "models": None if models is None else list(models),
        }
        rows = connection.execute(_CLAIMABLE, values).all()
    claimable = {Queue(queue): batches for queue, batches in rows}
    return {queue: max(0, claimable.get(queue, 0) - held) for queue, held in messages.items()}


@dataclass(frozen=True, slots=True)
class Backlog:
    """Work of one queue that has no answer yet."""

    queue: Queue
    queued_batches: int
    running_batches: int
    waiting_rows: int  # rows of both
    oldest_seconds: float  # age of the oldest queued batch; 0 when none waits


_BACKLOG = text("""
SELECT queue, count(*) FILTER (WHERE status = 'queued') AS queued,
       count(*) FILTER (WHERE status = 'running') AS running,
       coalesce(sum(request_count - coalesce(cardinality(cancelled_rows), 0)), 0) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'queued')), 0) AS oldest
FROM predictq.prediction_batches GROUP BY queue
""")


def backlog(engine: Engine) -> list[Backlog]:
    """What waits now, per queue. Reads the open batches only."""
    with transaction(engine) as connection:
        rows = {row.queue: row for row in connection.execute(_BACKLOG)}
    return [
        Backlog(queue, row.queued, row.running, int(row.waiting), float(row.oldest))
        if (row := rows.get(queue.value))
        else Backlog(queue, 0, 0, 0, 0.0)
        for queue in Queue
    ]


def owner_backlog(engine: Engine, *, with_singles: bool) -> dict[str, int]:
    """Rows that wait to be scored, by owner: of bulk jobs and, `with_singles`, of single jobs.

    Single jobs share batches, so theirs cost an index look-up per waiting row.
    """
    query = _BULK_BY_OWNER + (f" UNION ALL {_SINGLES_BY_OWNER}" if with_singles else "")
    waiting: dict[str, int] = {}
    with transaction(engine) as connection:
        for owner, rows in connection.execute(text(query)):
            waiting[owner] = waiting.get(owner, 0) + int(rows)
    return waiting


_BULK_BY_OWNER = """
SELECT owner, sum(request_count) FROM predictq.prediction_batches WHERE job_id IS NOT NULL GROUP BY owner
"""

_SINGLES_BY_OWNER = """
SELECT j.owner, count(*)
FROM predictq.prediction_batches b
JOIN predictq.batch_requests r ON r.batch_id = b.id
CROSS JOIN LATERAL unnest(r.job_ids) AS of_batch (job_id)
JOIN predictq.jobs j ON j.id = of_batch.job_id
WHERE b.job_id IS NULL AND j.status IS NULL GROUP BY j.owner
"""
