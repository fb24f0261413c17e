"""The heartbeat of claims, and the watchdog over the model.

One thread per process: it extends the leases while batches are scored, and ends the process when a single call of
the model takes too long, even one whose lease is lost already. A process that stops as a whole (SIGSTOP, swap)
misses its heartbeat; the batch is then claimed by another, and the fence drops what this one still tries to commit.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.batches.claims import Claim, extend_leases, record_failure
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger

log = get_logger(__name__)

_CALL_WORDS = "the model did not answer within"


class LeaseKeeper:
    """Keeps the leases of the batches in hand. `engine` must have a connection to spare for this thread."""

    def __init__(self, engine: Engine, *, lease_seconds: float, call_timeout_seconds: float) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._call_timeout = call_timeout_seconds
        self._claims: tuple[Claim, ...] = ()
        self._lost: set[tuple[int, int]] = set()  # batch and fence of claims that need not be extended any more
        self._call_started: float | None = None
        self._call_words = _CALL_WORDS
        threading.Thread(target=self._run, name="lease-keeper", daemon=True).start()

    @contextmanager
    def keeping(self, claims: Sequence[Claim]) -> Iterator[None]:
        """Extend the leases of `claims` until the block ends."""
        self._claims = tuple(claims)
        try:
            yield
        finally:
            self._claims = ()

    @contextmanager
    def watching_call(self, words: str = _CALL_WORDS) -> Iterator[None]:
        """End this process when the block, one call of the model or its loading, takes longer than the time-out.

        `words` and the seconds are then the reason of the failed attempt.
        """
        self._call_words = words
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
            try:
                self._look()
            except Exception:
                # Without this thread nothing keeps the leases, and nothing ends a model that hangs: say it, and go on.
                log.exception("heartbeat failed")

    def _look(self) -> None:
        claims = self._claims
        if self._is_hung():  # also while it is loaded for a promotion, with no batch in hand
            self._end_process(claims)
        if claims:
            self._beat(claims)

    def _beat(self, claims: tuple[Claim, ...]) -> None:
        self._lost &= {_identity(claim) for claim in claims}
        held = [claim for claim in claims if _identity(claim) not in self._lost]
        if not held:
            return
        try:
            lost = extend_leases(self._engine, held, lease_seconds=self._lease_seconds)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("heartbeat failed", batch_id=held[0].batch_id, reason=str(error))
        else:
            self._lose(lost)

    def _lose(self, lost: Sequence[Claim]) -> None:
        """Beat no more for these. They may just have been finished, and others be in hand by now: leave those be."""
        self._lost.update(map(_identity, lost))
        for claim in lost:
            if claim in self._claims:
                log.warning("lease lost", batch_id=claim.batch_id, fence=claim.fence)

    def _is_hung(self) -> bool:
        started = self._call_started
        return started is not None and time.monotonic() - started > self._call_timeout

    def _end_process(self, claims: Sequence[Claim]) -> None:
        """A call that hangs cannot be interrupted; give the batches back, then end the process it hangs in."""
        reason = f"{self._call_words} {self._call_timeout:g} s"
        if not claims:
            log.error("model hangs", reason=reason)
        try:
            for claim in claims:
                log.error("model hangs", batch_id=claim.batch_id, attempt=claim.attempt, reason=reason)
                record_failure(self._engine, claim, reason, retry_after_seconds=0)
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("batches left to their leases", batch_id=claims[0].batch_id, reason=str(error))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


def _identity(claim: Claim) -> tuple[int, int]:
    return claim.batch_id, claim.fence
