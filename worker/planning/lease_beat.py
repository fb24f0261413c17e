"""The heartbeat of the plan in hand: it holds the lease, and tells when the plan is no longer this claim's."""

from __future__ import annotations

import threading
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.batches.claims import Claim, extend_lease
from shared.errors import DatabaseUnavailable, FenceLost
from shared.logging import get_logger

log = get_logger(__name__)

_MOST_SECONDS = 1.0  # between two beats: a cancel is seen by the next


class LeaseBeat:
    """A context in which the lease of a plan is extended. `engine` must have a connection to spare for it."""

    def __init__(self, engine: Engine, held: Claim, *, lease_seconds: float) -> None:
        self._engine = engine
        self._held = held
        self._lease_seconds = lease_seconds
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-beat", daemon=True)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Raise FenceLost where the plan was cancelled or claimed anew."""
        if self._lost.is_set():
            raise FenceLost(self._held.batch_id, self._held.fence)

    def _run(self) -> None:
        while not self._ended.wait(min(self._lease_seconds / 3, _MOST_SECONDS)):
            try:
                extend_lease(self._engine, self._held, lease_seconds=self._lease_seconds)
            except FenceLost:
                self._lost.set()
                return
            except (DatabaseUnavailable, SQLAlchemyError) as error:
                log.warning("heartbeat failed", batch_id=self._held.batch_id, reason=str(error))
            except Exception:
                log.exception("heartbeat failed", batch_id=self._held.batch_id)  # the next one may get through
