"""The loop of the errands: take the next, hold it while it is done, and store what came of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.errands import ClaimedErrand, claim_errand, extend_errand, finish_errand, hand_on
from shared.errors import DatabaseUnavailable
from shared.logging import get_logger
from shared.postgres.engine import autocommit
from shared.postgres.outages import reason
from shared.told_errors import words_of
from worker.errands.failures import LeftToOthers, describe
from worker.errands.kinds import Handlers
from worker.models.loadable import Loadable

log = get_logger(__name__)

_LEASE_SECONDS = 15.0
_ASK_SECONDS = 0.25  # between two questions, while nobody wants anything


class ErrandRunner:
    """Does errands one after the other until `stopped`. `engine` has two connections: one is for the lease."""

    def __init__(
        self,
        engine: Engine,
        handlers: Handlers,
        *,
        worker: str,
        stopped: threading.Event,
        loadable: Loadable | None = None,
    ) -> None:
        """With `loadable`, versions that this process cannot load are left to those that can."""
        self._engine = engine
        self._loadable = loadable
        self._kinds = tuple(handlers)
        self._handlers = handlers
        self._worker = worker
        self._stopped = stopped

    def run(self) -> None:
        """Until told to stop; the errand in hand is finished first."""
        while not self._stopped.is_set():
            try:
                is_busy = self.do_next()
            except (DatabaseUnavailable, SQLAlchemyError) as error:
                log.warning("errands wait", reason=reason(error))
                is_busy = False
                self._stopped.wait(1)
            if not is_busy:
                self._stopped.wait(_ASK_SECONDS)

    def do_next(self) -> bool:
        """Do the errand whose turn it is. Returns whether there was one."""
        requirements = None if self._loadable is None else self._loadable.requirements
        with autocommit(self._engine) as connection:
            held = claim_errand(
                connection,
                worker=self._worker,
                lease_seconds=_LEASE_SECONDS,
                kinds=self._kinds,
                requirements=requirements,
            )
        if held is None:
            return False
        try:
            with self._holding(held):
                result, failed = self._do(held)
        except LeftToOthers as left:
            log.info("errand left to others", errand_id=str(held.id), kind=held.kind, workers=left.able)
            with autocommit(self._engine) as connection:
                hand_on(connection, held, left.able)
            return True
        with autocommit(self._engine) as connection:
            if not finish_errand(connection, held, result, failed=failed):
                log.warning("result of an errand dropped", errand_id=str(held.id), kind=held.kind)
        return True

    def _do(self, held: ClaimedErrand) -> tuple[dict[str, Any], bool]:
        handler = self._handlers.get(held.kind)
        if handler is None:
            return {"code": "unknown_errand", "detail": f"No worker here knows the errand {held.kind}."}, True
        try:
            return handler(held.arguments), False
        except LeftToOthers:
            raise
        except Exception as error:  # noqa: BLE001 - told to the caller, who waits
            words = describe(error)
            # What the caller is told may have a value of hers in it.
            said = {"code": words["code"], "reason": words_of(error)}
            log.warning("errand failed", errand_id=str(held.id), kind=held.kind, **said)
            return words, True

    @contextmanager
    def _holding(self, held: ClaimedErrand) -> Iterator[None]:
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(_LEASE_SECONDS / 3):
                try:
                    with autocommit(self._engine) as connection:
                        extend_errand(connection, held, lease_seconds=_LEASE_SECONDS)
                except (DatabaseUnavailable, SQLAlchemyError) as error:
                    log.warning("heartbeat failed", errand_id=str(held.id), reason=reason(error))
                except Exception:
                    log.exception("heartbeat failed", errand_id=str(held.id))  # the next one may get through

        thread = threading.Thread(target=beat, name="errand-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
