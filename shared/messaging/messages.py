"""The message queue on Redis: what is put on it, what waits in it, and the notices."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config import Settings
from shared.status import Queue

SCORE_TASK = "predictq.score_batch"
_SLICE = 1000  # messages of about 1 kB: a moment for Redis, however long the queue
NOTICES = "predictq:notices"  # the pub/sub channel on which workers say which batch is done

# For every connection to Redis. docs/reliability.md tells what each was measured to change.
REDIS_OPTIONS: dict[str, Any] = {
    "socket_timeout": 4,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 5,
}


def make_redis(settings: Settings, *, fails_at_once: bool = False) -> Redis:
    """A Redis client. One that `fails_at_once` does not try again, for whoever has others to tell that it failed."""
    options = {**REDIS_OPTIONS, "decode_responses": True}
    if fails_at_once:
        options["retry"] = Retry(NoBackoff(), 0)
    return Redis.from_url(settings.redis_url.get_secret_value(), **options)


def server_version(redis: Redis) -> str:
    """Which server that is, and its version: "Valkey 9.1.2" or "Redis 7.4.1". Raises RedisError."""
    told = redis.info("server")  # Valkey also tells the version of Redis that it is compatible with
    return f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"


def publish_batches(redis: Redis, batch_ids: Iterable[int], queue: Queue) -> None:
    """Put batch ids on their queue, the first to be taken first; all or none. Raises RedisError."""
    messages = [_task_message(batch_id, queue) for batch_id in batch_ids]
    if messages:
        redis.lpush(queue.value, *messages)


def _task_message(batch_id: int, queue: Queue) -> str:
    """The Celery message that has a batch scored: version 2 of its protocol, in kombu's envelope for Redis.

    Written here because Celery takes 0.2 ms and a round trip for each, in which the workers wait. A test holds it
    against Celery's own. Source: https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    task_id = str(uuid4())
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps([[batch_id], {}, _NOTHING_FOLLOWS]).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                **_HEADERS,
                "id": task_id,
                "root_id": task_id,
                "argsrepr": f"[{batch_id}]",  # what Flower shows
                "origin": f"{os.getpid()}@{_HOST}",
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",  # nobody waits for a result: it is in PostgreSQL
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue.value},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            },
        }
    )


_HOST = socket.gethostname()
_NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": SCORE_TASK,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "kwargsrepr": "{}",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}


def front_batch(redis: Redis, queue: Queue) -> int | None:
    """The batch id in the message that leaves the queue next; None when the queue is empty."""
    message = cast("str | None", redis.lindex(queue.value, -1))  # messages enter on the left
    return None if message is None else _batch_of(message)


def waiting_batches(redis: Redis, queue: Queue) -> set[int]:
    """The batch ids in all messages of the queue. One that waits all the while is never missed."""
    found: set[int] = set()
    position = 0
    # New messages move the others to higher positions: read upwards, one may come twice, but none slips by.
    while messages := cast("list[str]", redis.lrange(queue.value, position, position + _SLICE - 1)):
        found.update(map(_batch_of, messages))
        position += len(messages)
    return found


def _batch_of(message: str) -> int:
    arguments, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return int(arguments[0])


class Notice(NamedTuple):
    """That a batch is done, as workers say, or that a job was cancelled."""

    batch_id: int
    job_id: UUID | None  # of a bulk job; the single jobs of a batch are known by the batch
    rows: int | None = None  # how many of its rows are done; None after a cancel


def format_notice(notice: Notice) -> str:
    """The text of a notice."""
    batch_id, job_id, rows = notice
    return f"{batch_id}:{job_id or ''}:{rows or ''}"


def parse_notice(text: str) -> Notice:
    """Read `format_notice`. Raises ValueError."""
    batch_id, job_id, rows, *_ = *text.split(":"), "", ""
    return Notice(int(batch_id), UUID(job_id) if job_id else None, int(rows) if rows else None)
