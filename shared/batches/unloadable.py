"""Batches that wait for a worker which can load their model version, while none does."""

from __future__ import annotations

from sqlalchemy import Engine, text

from shared.postgres.engine import autocommit
from shared.status import Queue

_ALIVE_SECONDS = 60  # since a worker was heard of last


def unloadable(engine: Engine, queue: Queue, *, patience_seconds: float) -> list[str]:
    """Requirements that no worker meets, of batches that have waited for longer than that. Mostly none.

    A worker without requirements of its own meets the empty ones. What is paused is left out, and a pause that
    has ended counts as no wait.
    """
    with autocommit(engine) as connection:
        found = connection.execute(
            _UNLOADABLE, {"queue": queue.value, "patience": patience_seconds, "alive": _ALIVE_SECONDS}
        )
        return list(found.scalars())


def waiting_requirements(engine: Engine, queue: Queue) -> list[str]:
    """All requirements of the batches of a queue."""
    with autocommit(engine) as connection:
        found = connection.execute(
            text("SELECT DISTINCT requirements FROM predictq.prediction_batches WHERE queue = :queue"),
            {"queue": queue.value},
        )
        return list(found.scalars())


_UNLOADABLE = text("""
SELECT DISTINCT b.requirements FROM predictq.prediction_batches b
WHERE b.queue = :queue AND b.requirements <> ''
  AND b.created_at < clock_timestamp() - make_interval(secs => :patience)
  AND predictq.waits_since(b.queue, b.model_version_id, b.created_at)
      < clock_timestamp() - make_interval(secs => :patience)
  AND NOT predictq.is_paused(b.queue, b.model_version_id)
  AND (b.status = 'queued' OR b.lease_until < clock_timestamp())
  AND NOT EXISTS (
      SELECT FROM predictq.workers w
      WHERE b.requirements = ANY (w.requirements)
        AND w.heartbeat_at > clock_timestamp() - make_interval(secs => :alive))
""")
