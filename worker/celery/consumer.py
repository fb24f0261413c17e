"""The part of Celery's worker that listens to Redis, and how soon it tries again when Redis is away."""

from __future__ import annotations

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection

from shared.logging import get_logger

# Celery's own pauses grow to 30 s, and no setting shortens them: after a minute without Redis, work stood still for up
# to half a minute more. An attempt every two seconds is no burden to a Redis that has just come back.
PAUSE_SECONDS = 2.0

log = get_logger(__name__)


class PromptConsumer(Consumer):
    """Celery's consumer; while Redis is away it tries again every `PAUSE_SECONDS`, for as long as the worker runs."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect `conn` and return it. Raises WorkerShutdown when the worker is told to stop meanwhile."""
        conn.ensure_connection(_tell, interval_max=PAUSE_SECONDS, callback=maybe_shutdown)
        super().ensure_connected(conn)  # finds it connected, and notes so
        return conn


def _tell(error: Exception, pause: float) -> None:
    log.warning("Redis is away", reason=str(error), retry_seconds=pause)
