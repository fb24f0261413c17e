"""The sweeper: a thread in every worker's main process that publishes again what was lost or given up."""

from __future__ import annotations

import threading

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from shared.batches.sweep import sweep
from shared.errors import PredictqError
from shared.logging import get_logger
from shared.messaging.messages import front_batch, publish_batches, waiting_batches
from shared.status import Queue
from worker import metrics

log = get_logger(__name__)

_LISTED = "predictq:listed"  # a key in Redis: somebody has read the queues lately
_LIST_SECONDS = 15  # between two such readings, by however many sweepers


class Sweeper:
    """Sweeps every `sweep_seconds` until stopped. Any number may run at once, on any number of machines."""

    def __init__(self, engine: Engine, redis: Redis, *, sweep_seconds: float, pause_seconds: float) -> None:
        self._engine = engine
        self._redis = redis
        self._every = sweep_seconds
        self._pause = pause_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round in hand and end the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self.sweep_once()
            except (RedisError, PredictqError) as error:
                # Nothing can be delivered now; what is due stays due.
                log.warning("sweep failed", reason=f"{type(error).__name__}: {error}")
            except Exception:
                # A sweeper that dies silently would break the promise of delivery: say it, and go on.
                log.exception("sweep failed")

    def sweep_once(self) -> int:
        """One round; returns how many batches were published again."""
        for queue in Queue:
            metrics.QUEUED.labels(queue.value).set(int(self._redis.llen(queue.value)))
        fronts = {queue: front_batch(self._redis, queue) for queue in Queue}
        due = sweep(self._engine, fronts, listed=self._listed(), pause_seconds=self._pause)
        for queue in Queue:
            batches = [batch for batch in due if batch.queue is queue]
            publish_batches(self._redis, [batch.batch_id for batch in batches], queue)
            for batch in batches:
                metrics.REDISPATCHES.labels(batch.reason).inc()
        if due:
            log.info("batches dispatched again", count=len(due), first=due[0].batch_id, reason=due[0].reason)
        return len(due)

    def _listed(self) -> dict[Queue, set[int]]:
        """All that waits in the queues, when it is time to read them; else nothing about any."""
        if not self._redis.set(_LISTED, "", nx=True, ex=_LIST_SECONDS):
            return {}
        return {queue: waiting_batches(self._redis, queue) for queue in Queue}
