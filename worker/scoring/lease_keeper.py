"""The heartbeat of a claim, and the watchdog over the model.

One thread per process: it extends the lease while a batch is scored, and ends the process when a single call of
the model takes too long, even one whose lease is lost already. A process that stops as a whole (SIGSTOP, swap)
misses its heartbeat; the batch is then claimed by another, and the fence drops what this one still tries to commit.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.batches.claims import Claim, extend_lease, record_failure
from shared.errors import DatabaseUnavailable, FenceLost
from shared.logging import get_logger

log = get_logger(__name__)


class LeaseKeeper:
    """Keeps the lease of the batch in hand. `engine` must have a connection to spare for this thread."""

    def __init__(self, engine: Engine, *, lease_seconds: float, call_timeout_seconds: float) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._call_timeout = call_timeout_seconds
        self._claim: Claim | None = None
        self._lost: Claim | None = None  # the claim that need not be extended any more
        self._call_started: float | None = None
        threading.Thread(target=self._run, name="lease-keeper", daemon=True).start()

    @contextmanager
    def keeping(self, claim: Claim) -> Iterator[None]:
        """Extend the lease of `claim` until the block ends."""
        self._claim = claim
        try:
            yield
        finally:
            self._claim = None

    @contextmanager
    def watching_call(self) -> Iterator[None]:
        """End this process when the block, one call of the model, takes longer than the time-out."""
        self._call_started = time.monotonic()
        try:
            yield
        finally:
            self._call_started = None

    def _run(self) -> None:
        # By the clock, not by claim: to wake this thread for every batch cost a tenth of a small batch's time. The
        # first beat comes the sooner for it.
        while True:
            time.sleep(min(self._lease_seconds, self._call_timeout) / 3)
            claim = self._claim
            if claim is not None:
                self._beat(claim)

    def _beat(self, claim: Claim) -> None:
        if self._is_hung():
            self._end_process(claim)
        if self._lost is claim:
            return
        try:
            extend_lease(self._engine, claim, lease_seconds=self._lease_seconds)
        except FenceLost as error:
            self._lose(claim, str(error))
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("heartbeat failed", batch_id=claim.batch_id, reason=str(error))

    def _lose(self, claim: Claim, reason: str) -> None:
        """Beat no more for `claim`. It may just have been finished, and another be in hand by now: leave that be."""
        self._lost = claim
        if self._claim is claim:
            log.warning("lease lost", batch_id=claim.batch_id, reason=reason)

    def _is_hung(self) -> bool:
        started = self._call_started
        return started is not None and time.monotonic() - started > self._call_timeout

    def _end_process(self, claim: Claim) -> None:
        """A call that hangs cannot be interrupted; give the batch back, then end the process it hangs in."""
        reason = f"the model did not answer within {self._call_timeout:g} s"
        log.error("model hangs", batch_id=claim.batch_id, attempt=claim.attempt, reason=reason)
        try:
            record_failure(self._engine, claim, reason, retry_after_seconds=0)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("batch left to its lease", batch_id=claim.batch_id, reason=str(error))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
