"""Celery's way to Redis."""

from __future__ import annotations

from celery import Celery

from cli.embedded.redis import EmbeddedRedis
from shared.config import Settings
from shared.queue import make_celery


def app_for(url: str) -> Celery:
    return make_celery(
        Settings.model_validate({"database_url": "postgresql+psycopg2://h/d", "redis_url": url}),
    )


def test_tls_is_kept() -> None:
    """A rediss:// address means TLS, through our transport as through kombu's own."""
    assert app_for("rediss://redis.example/0").connection_for_write().ssl
    assert not app_for("redis://redis.example/0").connection_for_write().ssl


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
