"""Messages that bring a process nothing, because the work is another worker's: passed on, so that it hears of it."""

from __future__ import annotations

import time

from sqlalchemy import Engine

from shared.batches.others_work import waits_for_others
from shared.status import Queue
from worker.celery.notifier import Notifier
from worker.models.loadable import Loadable

_PAUSE_SECONDS = 0.1  # between two messages of a queue that a process passes on
_PAUSES_PER_LOOK = 10  # a look behind a long backlog that is paused takes its time: the next one comes so much later


class PassingOn:
    """Passes messages on for a process that leaves some work to others; for one that takes all it does nothing."""

    def __init__(self, engine: Engine, notifier: Notifier, loadable: Loadable) -> None:
        self._engine = engine
        self._notifier = notifier
        self._loadable = loadable
        self._next: dict[Queue, float] = {}

    def pass_on(self, queue: Queue) -> str:
        """Put a message that brought nothing back, if there is work of that queue for a worker that lives.

        Returns what became of the message, as the metrics call it.
        Once in a while at most: where that worker is busy, the message would go round and round between the others.
        """
        now = time.monotonic()
        if not self._loadable.leaves_some or now < self._next.get(queue, 0.0):
            return "not_needed"
        is_for_others = waits_for_others(
            self._engine, queue, requirements=self._loadable.requirements, models=self._loadable.models
        )
        took = time.monotonic() - now
        self._next[queue] = now + max(_PAUSE_SECONDS, _PAUSES_PER_LOOK * took)
        return "passed_on" if is_for_others and self._notifier.pass_on(queue) else "not_needed"
