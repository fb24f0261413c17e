"""The sweeper: a thread in every worker's main process that puts back the messages that queues lack."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from shared.batches.sweep import missing_messages
from shared.batches.unloadable import LOOK_SECONDS, unloadable
from shared.errors import PredictqError
from shared.logging import get_logger
from shared.messaging.messages import count_messages, publish_work
from shared.messaging.own_keys import mend_keys
from shared.status import SCORING_QUEUES, Queue
from worker import metrics
from worker.models.loadable import Loadable

log = get_logger(__name__)

_MOST_REFUSED = 100  # messages of one look for work that nobody can load: each ends a batch, or a few


class Sweeper:
    """Sweeps every `sweep_seconds` until stopped. Any number may run at once, on any number of machines."""

    def __init__(
        self,
        engine: Engine,
        redis: Redis,
        loadable: Loadable,
        *,
        sweep_seconds: float,
        grace_seconds: float,
        patience_seconds: float,
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._loadable = loadable
        self._every = sweep_seconds
        self._grace = grace_seconds
        self._patience = patience_seconds
        self._next_look = 0.0  # for work that nobody can load
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
        """One round; returns how many messages were put on the queues."""
        if mended := mend_keys(self._redis):
            log.warning("keys in Redis that are not as ours are were removed", keys=mended)
        held = {queue: count_messages(self._redis, queue) for queue in SCORING_QUEUES}
        for queue, messages in held.items():
            metrics.QUEUED.labels(queue.value).set(messages)
        missing = missing_messages(
            self._engine,
            held,
            grace_seconds=self._grace,
            requirements=self._loadable.requirements,
            models=self._loadable.models,
        )
        missing = self._with_unloadable(missing, held)
        for queue, messages in missing.items():
            publish_work(self._redis, messages, queue)
            if messages:
                metrics.REDISPATCHES.labels(queue.value).inc(messages)
                log.info("messages put back", queue=queue.value, messages=messages)
        return sum(missing.values())

    def _with_unloadable(self, missing: Mapping[Queue, int], held: Mapping[Queue, int]) -> dict[Queue, int]:
        """The same, and messages for what nobody has been able to load for too long: whoever gets one ends it.

        No worker claims such work of itself, so on a quiet queue it would have no end.
        """
        now = time.monotonic()
        if now < self._next_look:
            return dict(missing)
        self._next_look = now + min(LOOK_SECONDS, self._patience / 10)
        found = {queue: unloadable(self._engine, queue, patience_seconds=self._patience) for queue in held}
        wanted = {queue: min(sum(one.batches for one in needs), _MOST_REFUSED) for queue, needs in found.items()}
        return {queue: count + max(0, wanted[queue] - count - held[queue]) for queue, count in missing.items()}
