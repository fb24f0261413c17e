"""Telling workers that a queue has work: after the commit, in the background, and only as well as it can be done.

A message that is not sent is made up for by the sweeper, so nothing here may slow down or fail a caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from threading import Thread

from shared.logging import get_logger
from shared.status import Queue as WorkQueue
from shared.told_errors import words_of

log = get_logger(__name__)

_CAPACITY = 10_000  # commits whose messages may wait to be sent
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0  # seconds for which nothing is tried after a failure

Messages = tuple[int, WorkQueue]  # how many, one per batch


class Publisher:
    """One thread that publishes. While Redis is away messages are dropped at once: the circuit is open."""

    def __init__(self, publish: Callable[[int, WorkQueue], None], *, capacity: int = _CAPACITY) -> None:
        self._publish = publish
        self._waiting: Queue[Messages | None] = Queue(capacity)
        self._thread = Thread(target=self._run, name="api-publisher", daemon=True)
        self._pause = 0.0
        self._open_until = 0.0
        self._dropped = WorkQueue.INTERACTIVE  # a queue of which a message was
        self.failure: Exception | None = None  # of the last attempt
        self.failing_since: datetime | None = None
        self.published = 0
        self.failures = 0

    @property
    def is_healthy(self) -> bool:
        """Whether the last attempt to publish succeeded."""
        return self._pause == 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, batches: int, queue: WorkQueue) -> None:
        """Say soon, all at once, that so many more batches wait in a queue. Never blocks and never raises."""
        if not batches:
            return
        try:
            self._waiting.put_nowait((batches, queue))
        except Full:
            self.failures += batches

    def stop(self, timeout: float = 5.0) -> None:
        """Publish what is left, for at most `timeout` seconds."""
        try:
            self._waiting.put(None, timeout=timeout)
        except Full:
            log.warning("publisher_gave_up", left=self._waiting.qsize())
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (messages := self._next()) is not None:
            if time.monotonic() < self._open_until or not self._attempt(*messages):
                self.failures += messages[0]

    def _next(self) -> Messages | None:
        """What is to be sent next. While Redis takes nothing it is tried now and then, though nobody calls.

        A message says only that a queue has work, so that one for what was dropped is right.
        """
        while True:
            try:
                return self._waiting.get(timeout=self._pause or None)
            except Empty:
                self._attempt(1, self._dropped)

    def _attempt(self, batches: int, queue: WorkQueue) -> bool:
        try:
            self._publish_twice(batches, queue)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sweeper delivers and the thread must live
            self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
            self._open_until = time.monotonic() + self._pause
            self._dropped, self.failure = queue, error
            self.failing_since = self.failing_since or datetime.now(UTC)
            log.warning(
                "publish_failed", queue=queue, batches=batches, error=words_of(error), pause_seconds=self._pause
            )
            return False
        self._pause = 0.0
        self.failure = self.failing_since = None
        self.published += batches
        return True

    def _publish_twice(self, batches: int, queue: WorkQueue) -> None:
        try:
            self._publish(batches, queue)
        except Exception:
            if not self.is_healthy:
                raise
            self._publish(batches, queue)
