"""The message queue on Redis: what is put on it, what waits in it, and the notices."""

from __future__ import annotations

import base64
import json
import os
import socket
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config import Settings
from shared.status import Queue

WORK_TASK = "predictq.work"
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


def publish_work(redis: Redis, messages: int, queue: Queue) -> None:
    """Say so many times that a queue has work; all or none. Raises RedisError.

    A message names its queue and nothing more: which batch is done next is settled in PostgreSQL, when it is claimed.
    """
    if messages > 0:
        redis.lpush(queue.value, *[json.dumps(work_message(queue)) for _ in range(messages)])


def work_message(queue: Queue) -> dict[str, Any]:
    """The Celery message that has work of a queue done: version 2 of its protocol, in kombu's envelope for Redis.

    Written here because Celery takes 0.2 ms and a round trip for each, in which the workers wait. A test holds it
    against Celery's own. Source: https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    task_id = str(uuid4())
    return {
        "body": base64.b64encode(json.dumps([[queue.value], {}, _NOTHING_FOLLOWS]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            **_HEADERS,
            "timelimit": [None, None],
            "stamps": {},
            "id": task_id,
            "root_id": task_id,
            "argsrepr": f"['{queue.value}']",  # what Flower shows
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


_HOST = socket.gethostname()
_NOTHING_FOLLOWS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": WORK_TASK,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "parent_id": None,
    "kwargsrepr": "{}",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
}


def count_messages(redis: Redis, queue: Queue) -> int:
    """How many messages a queue holds. Raises RedisError."""
    return redis.llen(queue.value)


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
