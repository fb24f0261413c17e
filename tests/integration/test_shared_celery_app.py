"""Celery's way to Redis."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from devstack.servers.redis import EmbeddedRedis
from shared.config import Settings
from shared.messaging.celery_app import make_celery
from shared.messaging.messages import SCORE_TASK, publish_batches
from shared.status import Queue


def app_for(url: str) -> Celery:
    return make_celery(
        Settings.model_validate({"database_url": "postgresql+psycopg2://h/d", "redis_url": url}),
    )


def test_tls_is_kept() -> None:
    """A rediss:// address means TLS, through our transport as through kombu's own."""
    assert app_for("rediss://redis.example/0").connection_for_write().ssl
    assert not app_for("redis://redis.example/0").connection_for_write().ssl


@pytest.mark.parametrize("queue", list(Queue))
def test_our_messages_are_as_celery_would_send_them(redis_server: EmbeddedRedis, queue: Queue) -> None:
    """Field by field, but for what is new in every message."""
    app = app_for(redis_server.url)
    with Redis.from_url(redis_server.url) as redis:
        publish_batches(redis, [1234], queue)
        app.send_task(SCORE_TASK, args=[1234], queue=queue.value, ignore_result=True)
        ours, theirs = (_fields(redis.rpop(queue.value)) for _ in range(2))
    app.close()
    assert ours["headers"]["id"] == ours["headers"]["root_id"] == ours["properties"]["correlation_id"]
    own = {"id", "root_id", "origin", "correlation_id", "reply_to", "delivery_tag"}
    for part in ("headers", "properties"):
        assert ours[part].keys() == theirs[part].keys()
        assert all(ours[part][name] != theirs[part][name] for name in own & ours[part].keys())
        assert _without(own, ours.pop(part)) == _without(own, theirs.pop(part))
    assert ours == theirs


def _fields(message: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(message)
    return {**fields, "body": json.loads(base64.b64decode(fields["body"]))}


def _without(names: set[str], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def test_a_channel_keeps_its_client_as_long_as_its_pool(redis_server: EmbeddedRedis) -> None:
    """One client for all calls, another after the pool was given up, and never the one that waits for messages."""
    with app_for(redis_server.url).connection_for_write() as connection:
        channel = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        assert channel.client is not first
        channel._pool = None  # what kombu does when a connection was lost
        with channel.conn_or_acquire() as third:
            assert third.connection_pool is not first.connection_pool
            assert third.ping()
