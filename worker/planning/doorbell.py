"""The planner's way to Redis: what wakes it, and what it wakes. Nothing depends on it but the time that passes."""

from __future__ import annotations

import threading
import time

from redis import Redis
from redis.exceptions import RedisError

from shared.logging import get_logger
from shared.messaging.messages import NOTICES, Notice, format_notice, publish_work
from shared.status import Queue

log = get_logger(__name__)

_SILENT_SECONDS = 5  # without Redis, pages must not each wait for a connection that will not come
_MOST_MESSAGES = 100  # that are kept of the plan queue: whoever wakes asks PostgreSQL, and so needs no more


class Doorbell:
    """Waits for plans and says that batches wait. Redis may be away: the sweepers find what was not said."""

    def __init__(self, redis: Redis, stopped: threading.Event) -> None:
        self._redis = redis
        self._stopped = stopped
        self._silent_until = 0.0

    def wait(self, seconds: float) -> None:
        """Until somebody says that there is a plan, but no longer."""
        started = time.monotonic()
        if self._try_to_wait(seconds):
            return
        self._stopped.wait(max(0.0, seconds - (time.monotonic() - started)))

    def _try_to_wait(self, seconds: float) -> bool:
        if self._is_silent():
            return False
        try:
            self._redis.brpop([Queue.PLAN.value], timeout=seconds)
            self._redis.ltrim(Queue.PLAN.value, 0, _MOST_MESSAGES - 1)
        except RedisError as error:
            self._fall_silent(error)
            return False
        return True

    def batches_wait(self, count: int) -> None:
        """Say that so many bulk batches more wait for a worker."""
        if self._is_silent():
            return
        try:
            publish_work(self._redis, count, Queue.BULK)
        except RedisError as error:
            self._fall_silent(error)

    def plans_wait(self) -> None:
        """Wake a lane: a plan that was passed over can be taken now."""
        if self._is_silent():
            return
        try:
            publish_work(self._redis, 1, Queue.PLAN)
        except RedisError as error:
            self._fall_silent(error)

    def job_changed(self, notice: Notice) -> None:
        """Wake whoever watches a job: its total is known, or it has ended."""
        if self._is_silent():
            return
        try:
            self._redis.publish(NOTICES, format_notice(notice))
        except RedisError as error:
            self._fall_silent(error)

    def _is_silent(self) -> bool:
        return time.monotonic() < self._silent_until

    def _fall_silent(self, error: RedisError) -> None:
        self._silent_until = time.monotonic() + _SILENT_SECONDS
        log.warning("planning goes on without Redis", seconds=_SILENT_SECONDS, reason=str(error))
