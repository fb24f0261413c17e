"""Publishing batches to the queue: after the commit, in the background, and only as well as it can be done.

A batch that is not published is found by the sweeper, so nothing here may slow down or fail a caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import Full, Queue
from threading import Thread

from shared.logging import get_logger
from shared.status import Queue as WorkQueue

log = get_logger(__name__)

_CAPACITY = 10_000  # commits whose batches may wait to be published
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 5.0  # seconds for which nothing is tried after a failure

Batches = tuple[Sequence[int], WorkQueue]


class Publisher:
    """One thread that publishes. While Redis is away batches are dropped at once: the circuit is open."""

    def __init__(self, publish: Callable[[Sequence[int], WorkQueue], None], *, capacity: int = _CAPACITY) -> None:
        self._publish = publish
        self._waiting: Queue[Batches | None] = Queue(capacity)
        self._thread = Thread(target=self._run, name="api-publisher", daemon=True)
        self._pause = 0.0
        self._open_until = 0.0
        self.published = 0
        self.failures = 0

    @property
    def is_healthy(self) -> bool:
        """Whether the last attempt to publish succeeded."""
        return self._pause == 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, batch_ids: Sequence[int], queue: WorkQueue) -> None:
        """Publish soon, all at once. Never blocks and never raises."""
        if not batch_ids:
            return
        try:
            self._waiting.put_nowait((batch_ids, queue))
        except Full:
            self.failures += len(batch_ids)

    def stop(self, timeout: float = 5.0) -> None:
        """Publish what is left, for at most `timeout` seconds."""
        try:
            self._waiting.put(None, timeout=timeout)
        except Full:
            log.warning("publisher_gave_up", left=self._waiting.qsize())
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (batches := self._waiting.get()) is not None:
            if time.monotonic() < self._open_until or not self._attempt(*batches):
                self.failures += len(batches[0])

    def _attempt(self, batch_ids: Sequence[int], queue: WorkQueue) -> bool:
        try:
            self._publish_twice(batch_ids, queue)
        except Exception as error:  # noqa: BLE001 - whatever it is, the sweeper delivers and the thread must live
            self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
            self._open_until = time.monotonic() + self._pause
            log.warning("publish_failed", batch_ids=batch_ids[:10], error=str(error), pause_seconds=self._pause)
            return False
        self._pause = 0.0
        self.published += len(batch_ids)
        return True

    def _publish_twice(self, batch_ids: Sequence[int], queue: WorkQueue) -> None:
        try:
            self._publish(batch_ids, queue)
        except Exception:
            if not self.is_healthy:
                raise
            self._publish(batch_ids, queue)
