"""Notices: telling the gateways over Redis pub/sub that a batch is done. A lost notice costs a poll, no more."""

from __future__ import annotations

import time

from redis import Redis
from redis.exceptions import RedisError

from shared.logging import get_logger
from shared.messaging.messages import NOTICES, Notice, format_notice

log = get_logger(__name__)

_PAUSE_SECONDS = 5  # without Redis, batches must not each wait for a connection that will not come


class Notifier:
    """Publishes notices, best effort."""

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
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
            log.warning("notices pause", seconds=_PAUSE_SECONDS, reason=str(error))
