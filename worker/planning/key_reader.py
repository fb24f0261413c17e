"""Reading a selection's keys: one COPY in one transaction of the source, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.config import Settings
from shared.jobs.planning import Selection
from shared.postgres.engine import autocommit, driver_connection, make_engine
from shared.postgres.source_time_outs import DEFAULTS, LOCK, STATEMENT, time_out
from shared.sources.selection import check_filter, selection_query
from shared.sources.source import Source
from shared.sources.sql import SETTINGS, hold_for
from worker.planning.failures import SourceStalled, source_failure
from worker.planning.key_lines import CanonicalLine, canonical_line
from worker.planning.spool import KeySpool
from worker.sources.citext import find_citext, has_citext
from worker.sources.connections import Remote
from worker.sources.failures import source_failure as read_failure

_PATIENCE_SECONDS = 5  # for which the source may wait for space in the spool, in all
_CANCEL_EVERY_SECONDS = 0.2  # one that came before its statement has no effect


OpenSource = Callable[[Source], AbstractContextManager[PsycopgConnection]]


def make_opener(settings: Settings, name: str, *, pool_size: int = 1) -> OpenSource:
    """What opens a connection to a source, in autocommit, for one reading: the next plan is long to come.

    So many at once are in predictq's own database at most.
    """
    engine = make_engine(settings, application_name=name[:63], pool_size=pool_size)

    @contextmanager
    def opened(source: Source) -> Iterator[PsycopgConnection]:
        if source.url_variable is None:
            with autocommit(engine) as connection:
                try:
                    yield driver_connection(connection)
                finally:
                    connection.invalidate()  # it may stand in the middle of a COPY
            return
        remote = Remote(source.url_variable)
        try:
            with remote.connected(source) as driver:
                yield driver
        except psycopg2.Error as error:
            raise read_failure(source.name, error) from None
        finally:
            remote.close()

    return opened


class KeyReader:
    """One reading of a selection, from after a key on. A context: at its end the reading has stopped.

    `features` are read along: SQL expressions of the relation `c` by name.
    """

    def __init__(
        self,
        opened: OpenSource,
        source: Source,
        selection: Selection,
        *,
        after: str | None,
        spool_bytes: int,
        features: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        check_filter(selection.where, source)
        self._opened = opened
        self._source = source
        self._where = selection.where
        self._after = after
        # Without a key. A plan sorts first: a source that is read quickly by key is given the usual time for that.
        self._stall_seconds = max(DEFAULTS[STATEMENT], time_out(source.settings, STATEMENT))
        self._features = features
        self._driver: PsycopgConnection | None = None
        self.spool = KeySpool(spool_bytes, patience_seconds=_PATIENCE_SECONDS)
        self._thread = threading.Thread(target=self._run, name="key-reader", daemon=True)

    @property
    def reads_features(self) -> bool:
        """Whether features are read along with the keys."""
        return bool(self._features)

    @property
    def canonical_line(self) -> CanonicalLine:
        """What makes a key canonical that was read."""
        return canonical_line(self._source.key_form)

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
            raise source_failure(self._source.name, spool.failure) from spool.failure
        if not spool.is_ended and time.monotonic() - spool.last_arrival > self._stall_seconds:
            raise SourceStalled(self._stall_seconds)

    def _run(self) -> None:
        try:
            with self._opened(self._source) as driver:
                self._copy(driver)
        except Exception as error:  # noqa: BLE001 - raised in the planner's own thread, by `check`
            self.spool.end(error)
        else:
            self.spool.end()

    def _copy(self, driver: PsycopgConnection) -> None:
        citext = find_citext(driver, self._source) if has_citext(self._source) else None
        lock = int(1000 * time_out(self._source.settings, LOCK))
        query, parameters = selection_query(
            self._source,
            self._where,
            after=self._after,
            citext_schema=citext.schema if citext else None,
            strange=citext.letters if citext else "",
            features=self._features,
        )
        try:
            with driver.cursor() as cursor:
                statement = cursor.mogrify(query, parameters).decode()
                # A plan's statement may take its time, and may not wait long for a lock.
                cursor.execute(
                    f"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL lock_timeout = {lock}; "
                    f"SET LOCAL statement_timeout = 0; {SETTINGS}{hold_for(self._source, statement)}"
                )
                self._driver = driver
                cursor.copy_expert(f"COPY ({statement}) TO STDOUT", self.spool.incoming)
        finally:
            self._driver = None
