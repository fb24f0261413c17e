"""What a gateway itself has met, and no table tells: Redis takes no messages, or PostgreSQL's disk no writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from api.watch.outage_log import OutageLog
from shared.messaging.redis_trouble import RedisTrouble, trouble_of
from shared.watching.attention import Concern, NeedsPerson


class RedisUser(Protocol):
    """A part of the gateway that uses Redis, with how its last attempt failed; None: it did not."""

    failure: Exception | None
    failing_since: datetime | None


def own_concerns(outage_log: OutageLog, publisher: RedisUser, notices: RedisUser) -> Iterator[NeedsPerson]:
    """What needs a person, the gravest first."""
    if outage_log.full_since is not None:
        yield NeedsPerson(Concern.DATABASE_FULL, outage_log.full_since)
    trouble = redis_trouble(publisher, notices)
    if trouble is not None:
        since = min(user.failing_since for user in (publisher, notices) if user.failing_since is not None)
        yield NeedsPerson(Concern.REDIS, since, {"trouble": trouble.value})


def redis_trouble(publisher: RedisUser, notices: RedisUser) -> RedisTrouble | None:
    """What is wrong with Redis, by who cannot use it; None where nothing is."""
    failure = publisher.failure or notices.failure  # to listen takes no memory: who publishes knows more
    return None if failure is None else trouble_of(failure)
