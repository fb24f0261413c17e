"""A thread in every worker's main process that says who it is, what it can load and what it does, every few seconds.

While a version is wanted in the processes before it goes live, it also wakes them: they look when a message comes. Of
those that end while they load it, it says so: they cannot.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from shared.errors import PredictqError
from shared.logging import get_logger
from shared.messaging.messages import publish_work
from shared.models.warm_up import wanted
from shared.postgres.engine import autocommit
from shared.status import Queue
from shared.watching.workers import Worker, beat, leave
from worker import metrics
from worker.models.loadable import Loadable, tell_of_the_ended

log = get_logger(__name__)

_BEAT_SECONDS = 5.0
_LOOK_SECONDS = 0.5  # between two looks whether a version is wanted
_LONGEST_RING_PAUSE = 8.0  # seconds between two rounds of messages for one that is


class Presence:
    """Beats until stopped; then the worker's row goes."""

    def __init__(
        self, engine: Engine, redis: Redis, *, node: str, processes: int, queues: Sequence[Queue], loadable: Loadable
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._node = node
        self._processes = processes
        self._queues = list(queues)
        self.loadable = loadable
        self._rows = (time.monotonic(), 0.0)  # when they were counted last, and how many
        self._rung_for: dict[int, datetime] = {}  # versions that are wanted, and since when
        self._ring_at = self._ring_pause = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and say goodbye."""
        self._stopped.set()
        if not self._thread.is_alive():
            return
        self._thread.join(timeout=10)
        try:
            with autocommit(self._engine) as connection:
                leave(connection, self._node)
        except PredictqError as error:
            log.info("left without goodbye", reason=str(error))

    def _run(self) -> None:
        beat_at = 0.0
        while not self._stopped.is_set():
            try:
                if beat_at <= time.monotonic():
                    beat_at = time.monotonic() + _BEAT_SECONDS
                    self.beat_once()
                self.wake_for_wanted()
                if self._rung_for:
                    with autocommit(self._engine) as connection:
                        tell_of_the_ended(connection, self._node)
            except (RedisError, PredictqError) as error:
                log.warning("heartbeat failed", reason=f"{type(error).__name__}: {error}")
            except Exception:
                # A worker that nobody hears of counts as gone: say why, and go on.
                log.exception("heartbeat failed")
            self._stopped.wait(_LOOK_SECONDS)

    def beat_once(self) -> None:
        """Write the row of this worker."""
        figures = metrics.read_figures()
        now = time.monotonic()
        since, rows = self._rows
        self._rows = (now, figures.rows)
        worker = Worker(
            self._node,
            self._processes,
            [queue.value for queue in self._queues],
            None if self.loadable.models is None else list(self.loadable.models),
            self.loadable.requirements,
            self.loadable.libraries.versions,
            figures.loaded_versions,
            rows_per_second=max(0.0, figures.rows - rows) / max(now - since, 0.001),
        )
        with autocommit(self._engine) as connection:
            beat(connection, worker)

    def wake_for_wanted(self) -> None:
        """Ring for each process when a version is wanted: what it finds to do is settled when it looks.

        A process that is at work may miss its turn, so it rings again, at pauses that grow.
        """
        with autocommit(self._engine) as connection:
            asked = wanted(connection)
        now = time.monotonic()
        if asked != self._rung_for:
            self._rung_for, self._ring_at, self._ring_pause = asked, now, _LOOK_SECONDS
        if asked and self._ring_at <= now:
            publish_work(self._redis, self._processes, self._queues[0])
            self._ring_at = now + self._ring_pause
            self._ring_pause = min(2 * self._ring_pause, _LONGEST_RING_PAUSE)
