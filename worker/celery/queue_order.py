"""Which queues a worker takes from next: single predictions first, the others in turns; and a process kept free.

A bulk batch in hand is not interrupted, so with every process on one a single prediction would wait for the first to
end. While singles arrive, the last free process therefore waits for them and takes no bulk batch.
"""

from __future__ import annotations

import time

from celery.worker import state
from kombu.utils.scheduling import round_robin_cycle

from shared.status import Queue

KEEP_FREE_SECONDS = 0.15  # after a single prediction; those that come more seldom hold up no bulk job
LOOK_AGAIN_SECONDS = 0.02  # while a process is kept free: whether one still need be


class QueueOrder(round_robin_cycle):
    """Celery's order of queues. The transport makes one per connection, by the name of this class."""

    processes = 1  # of the worker's pool; there is one pool per program

    def __init__(self, names: list[str] | None = None) -> None:
        super().__init__(names)  # type: ignore[no-untyped-call]  # kombu has no types here
        self._kept_until = 0.0

    def rotate(self, last_used: str) -> None:
        """Called with the queue of each message that arrives."""
        if _is_interactive(last_used):
            self._kept_until = time.monotonic() + KEEP_FREE_SECONDS
        # Whose turn it was comes last: else the first of three gives its messages for ever.
        super().rotate(last_used)  # type: ignore[no-untyped-call]

    def consume(self, n: int) -> list[str]:
        """The queues to take the next message from, the first first."""
        names: list[str] = super().consume(n)  # type: ignore[no-untyped-call]
        names = sorted(names, key=lambda name: not _is_interactive(name))  # which leaves the others in their order
        return [name for name in names if _is_interactive(name)] if self._keeps_one_free() else names

    def wait_seconds(self) -> float | None:
        """How long to wait for a message of what `consume` will name; None for as long as is usual.

        A wait for single predictions alone must be short: it would outlast both the bulk batch in hand and the moment
        for which a process is kept free.
        """
        return LOOK_AGAIN_SECONDS if self._keeps_one_free() else None

    def _keeps_one_free(self) -> bool:
        return time.monotonic() < self._kept_until and 0 < self.processes - 1 <= _bulk_batches_held()


def _is_interactive(name: str) -> bool:
    """Whether single predictions wait there: the queue's own, or one of certain requirements."""
    return name.partition(":")[0] == Queue.INTERACTIVE


def _bulk_batches_held() -> int:
    return sum(not _is_interactive(request.delivery_info["routing_key"]) for request in state.reserved_requests)
