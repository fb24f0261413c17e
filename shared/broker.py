"""Celery's way to Redis, with one client per channel, and with waits whose length the order of queues may say.

Its own transport builds a client for every call: a quarter of the time of a publish, and more of an acknowledgement.
The connections behind the clients are pooled either way.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class Channel(redis.Channel):
    """A channel that keeps its client for as long as its pool of connections lasts.

    It waits for messages for as long as the order of queues says, where that has a `wait_seconds`.
    """

    _kept: Any = None

    def _brpop_start(self, timeout: float | None = None) -> None:
        # Fractions of a second need Redis 6, as the client does.
        wait_seconds = getattr(self._queue_cycle, "wait_seconds", None)
        super()._brpop_start(timeout if wait_seconds is None else wait_seconds())  # type: ignore[no-untyped-call]

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:  # with a connection of its own, on which it may wait
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]  # kombu has no types
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


class Transport(redis.Transport):
    """Redis, by the same URLs as kombu's own."""

    Channel = Channel


def register_transport() -> None:
    """Let this transport answer to the schemes of Redis. By a name in the settings, rediss would lose its TLS."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{Transport.__module__}:{Transport.__qualname__}"))
