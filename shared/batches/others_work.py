"""Work that waits for other workers than the one that asks: of models that it does not take, or with other needs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, text

from shared.postgres.engine import autocommit
from shared.status import Queue
from shared.watching.workers import ALIVE_SECONDS


def waits_for_others(
    engine: Engine, queue: Queue, *, requirements: Sequence[str], models: Sequence[str] | None
) -> bool:
    """Whether a batch of a queue can be claimed that is not for who takes these, and is for a worker that lives."""
    with autocommit(engine) as connection:
        values = {
            "queue": queue.value,
            "requirements": list(requirements),
            "models": None if models is None else list(models),
            "alive": ALIVE_SECONDS,
        }
        return bool(connection.execute(_WAITS, values).scalar_one())


_WAITS = text("""
WITH alive AS MATERIALIZED (
    SELECT w.models, w.requirements FROM predictq.workers w
    WHERE w.heartbeat_at > clock_timestamp() - make_interval(secs => :alive) AND :queue = ANY (w.queues)
)
SELECT EXISTS (
    SELECT FROM predictq.prediction_batches b JOIN predictq.model_versions v ON v.id = b.model_version_id
    WHERE b.queue = :queue AND (b.status = 'queued' OR b.lease_until < clock_timestamp())
      AND NOT (b.requirements = ANY (CAST(:requirements AS text[]))
               AND (CAST(:models AS text[]) IS NULL OR v.model = ANY (CAST(:models AS text[]))))
      AND NOT predictq.is_paused(b.queue, b.model_version_id, b.reads_source)
      AND EXISTS (
          SELECT FROM alive w
          WHERE (w.models IS NULL OR v.model = ANY (w.models))
            AND (b.requirements = '' OR b.requirements = ANY (w.requirements))))
""")
