"""The Celery app, with the settings that delivery depends on, and its way to Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from queue import Empty
from typing import Any, ClassVar

from celery import Celery
from kombu.entity import Queue as KombuQueue
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from redis.exceptions import ResponseError

from shared.config import Settings
from shared.messaging.messages import REDIS_OPTIONS, work_message
from shared.messaging.own_keys import mend_keys
from shared.messaging.screening import PING, screen_broadcast, screen_envelope, screen_work
from shared.status import SCORING_QUEUES, Queue

# docs/reliability.md tells what each of these was measured to change.
_TRANSPORT = {
    **REDIS_OPTIONS,
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
        control_queue_expires=None,  # else kombu needs scripts in Redis, which ours does not take
        event_queue_expires=None,
    )
    return app


class Deliveries(virtual.QoS):
    """What a worker has taken and not finished, in its memory alone: nothing of it is told to Redis, or believed of it.

    kombu's own keeps a copy of each message in Redis, two round trips for each, for the case that the worker dies. Then
    the sweeper puts back as many messages as there is work.
    """

    restore_at_shutdown = True

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Nothing is kept in Redis that could be restored."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what was taken and not finished."""
        for tag in list(self._delivered):
            self.restore_by_tag(tag, client)
        self._delivered.clear()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message up, or back to its queue."""
        if requeue:
            self.restore_by_tag(delivery_tag, leftmost=True)
        super().ack(delivery_tag)  # type: ignore[no-untyped-call]  # kombu has no types

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back, where it is one that says that a queue has work."""
        message = self._delivered.get(tag)
        queue = None if message is None else message.delivery_info.get("routing_key")
        if queue in _WORK_QUEUES:
            with self.channel.conn_or_acquire(client) as connection:
                put = connection.lpush if leftmost else connection.rpush
                put(queue, json.dumps(work_message(Queue(queue))))


class Channel(redis.Channel):
    """A channel that takes nothing out of Redis but what is ours (`shared.messaging.screening`).

    It keeps its client for as long as its pool of connections lasts. Celery's own transport builds a client for every
    call, which is most of the time of an acknowledgement; the connections behind the clients are pooled either way. And
    this one waits for messages for as long as the order of queues says, where that has a `wait_seconds`.
    """

    QoS = Deliveries  # type: ignore[assignment]  # the base of kombu's own
    allowed_calls: ClassVar[frozenset[str]] = PING  # of remote control
    _kept: Any = None

    def _brpop_read(self, **options: Any) -> bool:
        try:
            answer = self._read_answer(options)
        finally:
            self._in_poll = None  # type: ignore[assignment]  # kombu has no types
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call]  # as kombu does here
        if not answer:
            raise Empty
        queue = answer[0].decode(errors="replace").rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        message = screen_work(answer[1], queue) if queue in _WORK_QUEUES else screen_envelope(answer[1])
        if message is None:
            _tell_dropped(queue if queue in _WORK_QUEUES else "another queue")
            raise Empty
        self.connection._deliver(message, queue)  # noqa: SLF001 - kombu's own, which the overridden method calls
        return True

    def _read_answer(self, options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except ResponseError:  # a key of ours is no list any more
            _tell_dropped("a key")
            with self.conn_or_acquire() as client:
                mend_keys(client)
            return None
        except self.connection_errors:
            self.client.connection.disconnect()
            raise

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        item = json.dumps(message).encode()
        screened = screen_broadcast(item, exchange, self.allowed_calls)
        if screened is None:
            _tell_dropped("remote control")
            raise Empty
        super()._deliver_fanout_message(screened, exchange)  # type: ignore[no-untyped-call]
        return True

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


_WORK_QUEUES = frozenset(queue.value for queue in SCORING_QUEUES)
_listeners: list[Callable[[str], None]] = []  # of this process


def on_dropped(listener: Callable[[str], None]) -> None:
    """Have `listener` told of each message that is not ours, by the place that it was in."""
    _listeners.append(listener)


def _tell_dropped(place: str) -> None:
    for listener in _listeners:
        listener(place)


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
