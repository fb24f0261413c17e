"""Celery's way to Redis."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from shared.config import Settings
from shared.messaging.celery_app import make_celery
from shared.messaging.messages import WORK_TASK, count_messages, publish_work
from shared.status import SCORING_QUEUES, Queue


def app_for(url: str) -> Celery:
    return make_celery(
        Settings.model_validate({"database_url": "postgresql+psycopg2://h/d", "redis_url": url}),
    )


def test_tls_is_kept() -> None:
    """A rediss:// address means TLS, through our transport as through kombu's own."""
    assert app_for("rediss://redis.example/0").connection_for_write().ssl
    assert not app_for("redis://redis.example/0").connection_for_write().ssl


@pytest.mark.parametrize("queue", SCORING_QUEUES)
def test_our_messages_are_as_celery_would_send_them(redis_url: str, queue: Queue) -> None:
    """Field by field, but for what is new in every message."""
    app = app_for(redis_url)
    with Redis.from_url(redis_url) as redis:
        publish_work(redis, 1, queue)
        app.send_task(WORK_TASK, args=[queue.value], queue=queue.value, ignore_result=True)
        ours, theirs = (_fields(redis.rpop(queue.value)) for _ in range(2))
    app.close()
    assert ours["headers"]["id"] == ours["headers"]["root_id"] == ours["properties"]["correlation_id"]
    own = {"id", "root_id", "origin", "correlation_id", "reply_to", "delivery_tag"}
    for part in ("headers", "properties"):
        assert ours[part].keys() == theirs[part].keys()
        assert all(ours[part][name] != theirs[part][name] for name in own & ours[part].keys())
        assert _without(own, ours.pop(part)) == _without(own, theirs.pop(part))
    assert ours == theirs


def test_messages_are_put_on_their_queue_all_or_none(redis_url: str) -> None:
    """As many as are asked for, on the queue that they name and no other; none is no call."""
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        publish_work(redis, 0, Queue.BULK)
        publish_work(redis, 3, Queue.BULK)
        assert [count_messages(redis, queue) for queue in Queue] == [0, 0, 3]
        bodies = [_fields(message)["body"][0] for message in redis.lrange(Queue.BULK.value, 0, -1)]
    assert bodies == [["bulk"]] * 3


def _fields(message: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(message)
    return {**fields, "body": json.loads(base64.b64decode(fields["body"]))}


def _without(names: set[str], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def test_a_channel_keeps_its_client_as_long_as_its_pool(redis_url: str) -> None:
    """One client for all calls, another after the pool was given up, and never the one that waits for messages."""
    with app_for(redis_url).connection_for_write() as connection:
        channel = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        assert channel.client is not first
        channel._pool = None  # what kombu does when a connection was lost
        with channel.conn_or_acquire() as third:
            assert third.connection_pool is not first.connection_pool
            assert third.ping()
