"""The message queue: a Celery app on Redis with the settings that delivery depends on, and the notices."""

from __future__ import annotations

import base64
import json
from typing import NamedTuple, cast
from uuid import UUID

from celery import Celery
from kombu.entity import Queue as KombuQueue
from redis import Redis

from shared.broker import register_transport
from shared.config import Settings
from shared.status import Queue

SCORE_TASK = "predictq.score_batch"
_SLICE = 1000  # messages of about 1 kB: a moment for Redis, however long the queue
NOTICES = "predictq:notices"  # the pub/sub channel on which workers say which batch is done

# docs/reliability.md tells what each of these was measured to change.
_TRANSPORT = {
    "visibility_timeout": 3600,
    "socket_timeout": 4,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 5,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "queue_order_strategy": "priority",  # the queue named first is looked at first
}


def make_celery(settings: Settings) -> Celery:
    """The Celery app that gateways publish with and workers consume with."""
    register_transport()
    app = Celery("predictq", broker=settings.redis_url.get_secret_value(), set_as_current=False)
    app.conf.update(
        task_queues=[KombuQueue(queue.value, routing_key=queue.value) for queue in Queue],
        task_default_queue=Queue.INTERACTIVE.value,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=3300,  # the last resort against a hang that even the watchdog cannot end
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,  # three messages per batch that only Flower reads: it switches them on itself
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=dict(_TRANSPORT),
        # A publish that fails is the sweeper's to repeat: the caller must not wait for Redis.
        task_publish_retry=False,
        broker_pool_limit=2,
    )
    return app


def make_redis(settings: Settings) -> Redis:
    """A Redis client for notices and queue lengths, nearly as impatient as the broker's."""
    return Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=5,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=5,
        decode_responses=True,
    )


def publish_batch(app: Celery, batch_id: int, queue: Queue) -> None:
    """Put one batch id on its queue. Raises kombu's OperationalError when Redis is away."""
    app.send_task(SCORE_TASK, args=[batch_id], queue=queue.value, ignore_result=True)


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
