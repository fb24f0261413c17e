"""The part of Celery's worker that listens to Redis, and how soon it tries again when Redis is away."""

from __future__ import annotations

import heapq
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer
from kombu.connection import Connection

from shared.logging import get_logger

# Celery's own pauses grow to 30 s, and no setting shortens them: after a minute without Redis, work stood still for up
# to half a minute more. An attempt every two seconds is no burden to a Redis that has just come back.
PAUSE_SECONDS = 2.0
_TIDY_SECONDS = 30.0  # between two looks for timers that have ended

log = get_logger(__name__)


class PromptConsumer(Consumer):
    """Celery's consumer; while Redis is away it tries again every `PAUSE_SECONDS`, for as long as the worker runs."""

    _tidying: Any = None

    def register_with_event_loop(self, hub: Hub) -> None:
        """Celery's own, and from time to time the timers of tasks that have ended are dropped."""
        super().register_with_event_loop(hub)
        if self._tidying is not None:  # connected anew
            self._tidying.cancel()
        self._tidying = hub.timer.call_repeatedly(_TIDY_SECONDS, drop_ended, (hub.timer,))

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect `conn` and return it. Raises WorkerShutdown when the worker is told to stop meanwhile."""
        conn.ensure_connection(_tell, interval_max=PAUSE_SECONDS, callback=maybe_shutdown)
        super().ensure_connected(conn)  # finds it connected, and notes so
        return conn


def drop_ended(timer: Timer) -> None:
    """Take cancelled entries out of kombu's heap.

    For each task Celery puts its time limit there, and cancels it when the task has ended; there it stays until the
    limit has passed, 55 minutes: half a kilobyte for every batch.
    """
    queue = timer._queue  # noqa: SLF001 - changed in place: the loop has it in its hands
    queue[:] = [planned for planned in queue if not planned.entry.canceled]
    heapq.heapify(queue)


def _tell(error: Exception, pause: float) -> None:
    log.warning("Redis is away", reason=str(error), retry_seconds=pause)
