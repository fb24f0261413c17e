"""Batches that wait for a worker which can load their model version, while none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from shared.postgres.engine import autocommit
from shared.status import Queue
from shared.watching.workers import ALIVE_SECONDS

LOOK_SECONDS = 30.0  # between two looks for such batches; sooner where the patience is short


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker must take and have for batches that wait."""

    model: str
    requirements: str
    batches: int
    since: datetime  # the oldest of them


def unloadable(engine: Engine, queue: Queue, *, patience_seconds: float) -> list[Needs]:
    """What no living worker meets, of batches of a queue that have waited for longer than that. Mostly nothing.

    What is paused is left out, and a pause that has ended counts as no wait. For workers, who ask about others.
    """
    with autocommit(engine) as connection:
        return _read(connection, [queue], patience_seconds, is_worker=True)


def read_unloadable(connection: Connection, queues: Sequence[Queue], *, patience_seconds: float) -> list[Needs]:
    """The same of several queues. Where no worker is alive at all, nothing is said: that is another matter."""
    return _read(connection, queues, patience_seconds, is_worker=False)


def _read(connection: Connection, queues: Sequence[Queue], patience_seconds: float, *, is_worker: bool) -> list[Needs]:
    values = {"queues": list(queues), "patience": patience_seconds, "alive": ALIVE_SECONDS, "worker": is_worker}
    return [Needs(*row) for row in connection.execute(_UNLOADABLE, values)]


def waiting_requirements(engine: Engine, queue: Queue) -> list[str]:
    """All requirements of the batches of a queue."""
    with autocommit(engine) as connection:
        found = connection.execute(
            text("SELECT DISTINCT requirements FROM predictq.prediction_batches WHERE queue = :queue"),
            {"queue": queue.value},
        )
        return list(found.scalars())


_UNLOADABLE = text("""
WITH alive AS MATERIALIZED (
    SELECT w.models, w.requirements FROM predictq.workers w
    WHERE w.heartbeat_at > clock_timestamp() - make_interval(secs => :alive)
), waiting AS (
    SELECT v.model, b.requirements, count(*) AS batches, min(b.created_at) AS since
    FROM predictq.prediction_batches b JOIN predictq.model_versions v ON v.id = b.model_version_id
    WHERE b.queue = ANY (CAST(:queues AS text[]))
      AND b.created_at < clock_timestamp() - make_interval(secs => :patience)
      AND predictq.waits_since(b.queue, b.model_version_id, b.created_at)
          < clock_timestamp() - make_interval(secs => :patience)
      AND NOT predictq.is_paused(b.queue, b.model_version_id, b.reads_source)
      AND (b.status = 'queued' OR b.lease_until < clock_timestamp())
      AND (:worker OR EXISTS (SELECT FROM alive))
    GROUP BY v.model, b.requirements
)
SELECT n.model, n.requirements, n.batches, n.since FROM waiting n
WHERE NOT EXISTS (
    SELECT FROM alive w
    WHERE (w.models IS NULL OR n.model = ANY (w.models))
      AND (n.requirements = '' OR n.requirements = ANY (w.requirements)))
ORDER BY n.since
""")
