"""What a process says over Redis: to gateways that a batch is done, to other workers that there is work for them.

Either may be lost: the one costs a poll, the other a wait for the sweeper.
"""

from __future__ import annotations

import time

from redis import Redis
from redis.exceptions import RedisError

from shared.logging import get_logger
from shared.messaging.messages import NOTICES, Notice, format_notice, publish_work
from shared.status import Queue

log = get_logger(__name__)

_PAUSE_SECONDS = 5  # without Redis, batches must not each wait for a connection that will not come


class Notifier:
    """Publishes notices and passes messages on, best effort."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._silent_until = 0.0

    def batch_done(self, notice: Notice) -> None:
        """Wake whoever waits for this batch or, for a bulk job, for this job."""
        if time.monotonic() < self._silent_until:
            return
        try:
            self._redis.publish(NOTICES, format_notice(notice))
        except RedisError as error:
            self._pause(error)

    def pass_on(self, queue: Queue) -> bool:
        """Put the message back that brought this process no work. Returns whether it is on its queue."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            publish_work(self._redis, 1, queue)
        except RedisError as error:
            self._pause(error)
            return False
        return True

    def _pause(self, error: RedisError) -> None:
        self._silent_until = time.monotonic() + _PAUSE_SECONDS
        log.warning("notices pause", seconds=_PAUSE_SECONDS, reason=str(error))
