"""Whether work stands still or is late: rows wait, and for a while none like them, or not they, were answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from shared.status import Queue


@dataclass(frozen=True, slots=True)
class Stall:
    """A queue in which nothing moves."""

    queue: Queue
    seconds: float  # for which its oldest rows have waited

    @property
    def words(self) -> str:
        """What an operator is told."""
        return f"{_WORDS[self.queue]} for {self.seconds:.0f} s, and none was {_DONE[self.queue]} lately"


_WORDS = {
    Queue.INTERACTIVE: "Single predictions wait",
    Queue.BULK: "Rows of bulk jobs wait",
    Queue.PLAN: "Selections wait",
}
_DONE = {Queue.INTERACTIVE: "answered", Queue.BULK: "answered", Queue.PLAN: "planned"}

# What is paused, or was until a moment ago, is meant to wait. Of selections a planner that holds one and renews its
# lease is progress.
_STALLS = text("""
SELECT q.queue, CAST(extract(epoch FROM clock_timestamp() - q.oldest) AS double precision) AS seconds FROM (
    SELECT b.queue, min(b.created_at) AS oldest FROM predictq.prediction_batches b
    WHERE b.created_at < clock_timestamp() - make_interval(secs => :seconds)
        AND (NOT EXISTS (SELECT FROM predictq.pauses)
             OR NOT predictq.is_paused(b.queue, b.model_version_id, b.reads_source))
        AND (NOT EXISTS (SELECT FROM predictq.resumptions r
                         WHERE r.at > clock_timestamp() - make_interval(secs => :seconds))
             OR predictq.waits_since(b.queue, b.model_version_id, b.created_at)
                < clock_timestamp() - make_interval(secs => :seconds))
    GROUP BY b.queue
) q WHERE CASE WHEN q.queue = 'plan' THEN NOT EXISTS (
    SELECT FROM predictq.prediction_batches b
    WHERE b.queue = 'plan' AND b.status = 'running' AND b.lease_until > clock_timestamp())
ELSE NOT EXISTS (
    SELECT FROM predictq.batch_outputs o
    WHERE o.created_at > clock_timestamp() - make_interval(secs => :seconds)
        AND (o.job_id IS NULL) = (q.queue = 'interactive'))
END
""")


def read_stalls(connection: Connection, seconds: float) -> list[Stall]:
    """The queues whose rows have waited for `seconds` while none of theirs was answered. Reads open batches only."""
    rows = connection.execute(_STALLS, {"seconds": seconds})
    return [Stall(Queue(queue), waited) for queue, waited in rows]


@dataclass(frozen=True, slots=True)
class Late:
    """A queue whose oldest batch that nobody has begun waits for long."""

    queue: Queue
    seconds: float
    rows: int  # without an answer in that queue


# What is paused, or reads a source that is away, is meant to wait.
_LATE = text("""
SELECT l.queue, l.seconds, (
    SELECT sum(w.request_count - coalesce(cardinality(w.cancelled_rows), 0))
    FROM predictq.prediction_batches w WHERE w.queue = l.queue)
FROM (
    SELECT b.queue, CAST(extract(epoch FROM clock_timestamp() - min(
        predictq.waits_since(b.queue, b.model_version_id, b.created_at))) AS double precision) AS seconds
    FROM predictq.prediction_batches b
    JOIN unnest(CAST(:queues AS text[]), CAST(:limits AS double precision[])) AS g (queue, seconds) USING (queue)
    WHERE b.status = 'queued' AND b.created_at < clock_timestamp() - make_interval(secs => g.seconds)
        AND predictq.waits_since(b.queue, b.model_version_id, b.created_at)
            < clock_timestamp() - make_interval(secs => g.seconds)
        AND NOT predictq.is_paused(b.queue, b.model_version_id, b.reads_source)
    GROUP BY b.queue
) l ORDER BY l.queue DESC
""")


def read_late(connection: Connection, limits: Mapping[Queue, float]) -> list[Late]:
    """The queues in which a batch waits for longer than its limit in seconds. Reads open batches only."""
    values = {"queues": [queue.value for queue in limits], "limits": list(limits.values())}
    return [Late(Queue(queue), seconds, int(rows)) for queue, seconds, rows in connection.execute(_LATE, values)]
