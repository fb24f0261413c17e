"""Reading a selection's keys: one COPY in one transaction of the source, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from sqlalchemy import Engine

from shared.config import Settings
from shared.jobs.planning import Selection
from shared.postgres.engine import autocommit, driver_connection, make_engine
from shared.sources.selection import selection_query
from worker.planning.failures import SourceStalled, source_failure
from worker.planning.spool import KeySpool

_LOCK_SECONDS = 5
_STALL_SECONDS = 60  # without a key
_PATIENCE_SECONDS = 5  # for which the source may wait for space in the spool, in all
_CANCEL_EVERY_SECONDS = 0.2  # one that came before its statement has no effect


def make_source_engine(settings: Settings, name: str) -> Engine:
    """Connections to the source: a plan's statement may take its time, and may not wait long for a lock."""
    return make_engine(
        settings, application_name=name[:63], statement_timeout_seconds=0, lock_timeout_seconds=_LOCK_SECONDS
    )


class KeyReader:
    """One reading of a selection, from after a key on. A context: at its end the reading has stopped."""

    def __init__(self, engine: Engine, selection: Selection, *, after: str | None, spool_bytes: int) -> None:
        self._engine = engine
        self._query = selection_query(selection.where, after=after)
        self._driver: PsycopgConnection | None = None
        self.spool = KeySpool(spool_bytes, patience_seconds=_PATIENCE_SECONDS)
        self._thread = threading.Thread(target=self._run, name="key-reader", daemon=True)

    def __enter__(self) -> KeyReader:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.spool.discard()

    def stop(self) -> None:
        """Read no further, and end the transaction in the source. What is in the spool stays."""
        if self.spool.is_ended:
            return
        self.spool.drop()
        while self._thread.is_alive():
            driver = self._driver
            if driver is not None:
                with contextlib.suppress(psycopg2.Error):
                    driver.cancel()
            self._thread.join(_CANCEL_EVERY_SECONDS)

    def check(self) -> None:
        """Raise PlanFailed where the reading failed, or gave nothing for too long although there is space for more."""
        spool = self.spool
        if spool.failure is not None:
            raise source_failure(spool.failure) from spool.failure
        if not spool.is_ended and time.monotonic() - spool.last_arrival > _STALL_SECONDS:
            raise SourceStalled(_STALL_SECONDS)

    def _run(self) -> None:
        try:
            self._copy(*self._query)
        except Exception as error:  # noqa: BLE001 - raised in the planner's own thread, by `check`
            self.spool.end(error)
        else:
            self.spool.end()

    def _copy(self, query: str, parameters: Mapping[str, Any]) -> None:
        with autocommit(self._engine) as connection:
            driver = driver_connection(connection)
            try:
                with driver.cursor() as cursor:
                    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    self._driver = driver
                    statement = cursor.mogrify(query, dict(parameters)).decode()
                    cursor.copy_expert(f"COPY ({statement}) TO STDOUT", self.spool.incoming)
            finally:
                self._driver = None
                connection.invalidate()  # it may stand in the middle of a COPY, and the next plan is long to come
