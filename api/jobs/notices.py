"""Listening for what workers have finished, to answer waiting callers at once rather than at their next poll."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.server.background import Background
from shared.logging import get_logger
from shared.messaging.messages import NOTICES, REDIS_OPTIONS, Notice, parse_notice

log = get_logger(__name__)

_LONGEST_PAUSE = 5.0  # seconds between two attempts to reach Redis
_LISTEN_SECONDS = 5.0  # how long one read may find nothing, before the connection is checked


class Notices(Background):
    """A subscription that survives Redis. A notice may be lost at any time: callers poll as well, only slower."""

    def __init__(self, redis_url: str, on_notice: Callable[[Notice], None]) -> None:
        self._redis = Redis.from_url(redis_url, **REDIS_OPTIONS)  # bytes: text may be no text
        self._on_notice = on_notice
        self.is_subscribed = False
        self.failure: Exception | None = None  # of the last attempt
        self.failing_since: datetime | None = None

    async def stop(self) -> None:
        """End the subscription."""
        await super().stop()
        await self._redis.aclose()

    async def run(self) -> None:
        """Listen, whether or not Redis is there."""
        pause = 0.1
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                if self.is_subscribed:
                    log.warning("notices_lost", error=str(error))
                    pause = 0.1
                self.is_subscribed = False
                self.failure = error
                self.failing_since = self.failing_since or datetime.now(UTC)
            except BaseException:
                self.is_subscribed = False
                raise
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe(NOTICES)
            self.is_subscribed = True
            self.failure = self.failing_since = None
            while True:
                message = await subscription.get_message(timeout=_LISTEN_SECONDS)
                if message is not None:
                    self._take(message["data"])

    def _take(self, data: bytes) -> None:
        try:
            notice = parse_notice(data.decode("ascii"))
        except ValueError:  # of which UnicodeDecodeError is one
            log.warning("notice_not_understood", notice=repr(data[:100]))
            return
        self._on_notice(notice)
