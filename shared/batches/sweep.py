"""The sweep: which batches need a new message, because theirs was lost or their worker died.

A batch that merely waits its turn must not be dispatched again: its message is still in the queue. Messages leave
a queue in the order in which they came, so the one at the front tells: a batch whose message was sent before the
front's batch even existed has no message there any more. `dispatch_after` is when that message was in the queue at
the latest. An empty queue holds no message at all. What is lost in the middle of a long queue the front tells late:
every now and then the whole queue is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, text

from shared.postgres.engine import transaction
from shared.postgres.tables import REQUESTS_PER_BATCH
from shared.status import Queue

_MOST = 1000  # batches per sweep: publishing them takes well under a lease
_MAX_PAUSE = 60  # seconds: the longest back-off between two dispatches of one batch


@dataclass(frozen=True, slots=True)
class Redispatch:
    """A batch to publish again."""

    batch_id: int
    queue: Queue
    reason: str  # "lost": no message; "expired": its lease ran out


_SWEEP = text(f"""
WITH due AS (
    SELECT id, status FROM prediction_batches b
    WHERE queue = :queue AND status IN ('queued', 'running') AND dispatch_after < clock_timestamp()
      AND (status = 'queued' OR lease_until < clock_timestamp())
      AND (
        dispatch_after <= lease_until  -- not dispatched again since that claim, which used up its message
        OR CAST(:front AS bigint) IS NULL
        OR dispatch_after < (SELECT created_at FROM prediction_batches WHERE id = :front)
        OR (CAST(:listed AS bigint[]) IS NOT NULL AND id NOT IN (SELECT unnest(CAST(:listed AS bigint[])))
            -- sent well before the queue was read
            AND dispatch_after < clock_timestamp() - make_interval(secs => :pause)))
    ORDER BY id LIMIT {_MOST} FOR UPDATE SKIP LOCKED
)
UPDATE prediction_batches b
SET dispatches = dispatches + 1,
    dispatch_after = clock_timestamp() + make_interval(
        secs => least({_MAX_PAUSE}, :pause * power(2, least(dispatches, 10))))
FROM due WHERE b.id = due.id
RETURNING b.id, due.status
""")


def sweep(
    engine: Engine,
    fronts: Mapping[Queue, int | None],
    *,
    listed: Mapping[Queue, Collection[int]] | None = None,
    pause_seconds: float,
) -> list[Redispatch]:
    """Mark the batches that need a new message, and commit; publish them after that.

    `fronts` says for each queue which batch its next message is about, None where it is empty. `listed` says, of a
    queue that was read as a whole less than `pause_seconds` ago, for which batches it holds messages. A batch is
    dispatched again at the earliest `pause_seconds` after the last time, doubling up to a minute. Any number of
    sweepers may run at once.
    """
    found = []
    for queue, front in fronts.items():
        told = {"listed": list(listed[queue]) if listed and queue in listed else None, "pause": pause_seconds}
        with transaction(engine) as connection:
            rows = connection.execute(_SWEEP, {**told, "queue": queue.value, "front": front}).all()
        for row in sorted(rows):
            reason = "lost" if row.status == "queued" else "expired"
            found.append(Redispatch(row.id, queue, reason))
    return found


@dataclass(frozen=True, slots=True)
class Backlog:
    """Work of one queue that has no answer yet."""

    queue: Queue
    queued_batches: int
    running_batches: int
    waiting_rows: int  # rows of both
    oldest_seconds: float  # age of the oldest queued batch; 0 when none waits


def backlog(engine: Engine) -> list[Backlog]:
    """What waits now, per queue. Costs an index scan of the open batches only."""
    with transaction(engine) as connection:
        rows = {
            row.queue: row
            for row in connection.execute(
                text("""
SELECT queue, count(*) FILTER (WHERE status = 'queued') AS queued,
       count(*) FILTER (WHERE status = 'running') AS running,
       coalesce(sum(request_count - cancelled), 0) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE status = 'queued')), 0) AS oldest
FROM prediction_batches WHERE status IN ('queued', 'running') GROUP BY queue
""")
            )
        }
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
SELECT j.owner, sum(b.request_count) FROM prediction_batches b JOIN jobs j ON j.id = b.job_id
WHERE b.status IN ('queued', 'running') GROUP BY j.owner
"""

_SINGLES_BY_OWNER = f"""
SELECT j.owner, count(*)
FROM prediction_batches b
JOIN prediction_requests r ON r.request_id >= b.id * {REQUESTS_PER_BATCH}
                          AND r.request_id < b.id * {REQUESTS_PER_BATCH} + b.request_count
JOIN jobs j ON j.id = r.job_id
WHERE b.status IN ('queued', 'running') AND b.job_id IS NULL AND j.cancelled_at IS NULL GROUP BY j.owner
"""
