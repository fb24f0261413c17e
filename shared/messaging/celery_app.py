"""The Celery app, with the settings that delivery depends on, and its way to Redis."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.entity import Queue as KombuQueue
from kombu.transport import TRANSPORT_ALIASES, redis

from shared.config import Settings
from shared.messaging.messages import REDIS_OPTIONS
from shared.status import SCORING_QUEUES, Queue

# docs/reliability.md tells what each of these was measured to change.
_TRANSPORT = {
    **REDIS_OPTIONS,
    "visibility_timeout": 3600,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "queue_order_strategy": "priority",  # the queue named first is looked at first
}


def make_celery(settings: Settings) -> Celery:
    """The Celery app of workers, and of what asks after them."""
    _register_transport()
    app = Celery("predictq", broker=settings.redis_url.get_secret_value(), set_as_current=False)
    app.conf.update(
        task_queues=[KombuQueue(queue.value, routing_key=queue.value) for queue in SCORING_QUEUES],
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
        broker_pool_limit=2,
    )
    return app


class Channel(redis.Channel):
    """A channel that keeps its client for as long as its pool of connections lasts.

    Celery's own transport builds a client for every call, which is most of the time of an acknowledgement; the
    connections behind the clients are pooled either way. And this one waits for messages for as long as the order of
    queues says, where that has a `wait_seconds`.
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


def _register_transport() -> None:
    """Let this transport answer to the schemes of Redis. By a name in the settings, rediss would lose its TLS."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{Transport.__module__}:{Transport.__qualname__}"))


def living_workers(settings: Settings, seconds: float, *, only: str | None = None) -> list[str]:
    """The names of the workers that answer a ping within `seconds`; of `only` one, as soon as that one answers."""
    app = make_celery(settings)
    try:
        replies = app.control.ping([only] if only else None, timeout=seconds, limit=1 if only else None) or []
    finally:
        app.close()
    return sorted(name for reply in replies for name in reply)
