"""The sources of one process: what is known of them, connections to them, and reading features through these."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from sqlalchemy import Engine

from shared.errors import DatabaseUnavailable
from shared.models.signature import Signature
from shared.postgres.engine import autocommit, driver_connection
from shared.postgres.source_time_outs import LOCK, time_out
from shared.sources.source import Source, get_source
from worker.sources.circuit import Circuit
from worker.sources.citext import Citext, find_citext, has_citext
from worker.sources.connections import Remote
from worker.sources.failures import SourceAway, SourceGivenUp, SourceRefuses, source_failure
from worker.sources.key_columns import Keys
from worker.sources.reading import Found, read_features

_FRESH_SECONDS = 10.0  # for which what is known of a source is not asked for again


class SourceReader:
    """Reads features. Sources in predictq's own database are read over `engine`, others over a connection each."""

    def __init__(
        self, engine: Engine, *, patience_seconds: float = 3600, remote: Callable[[str], Remote] = Remote
    ) -> None:
        self._engine = engine
        self._circuit = Circuit(engine, patience_seconds)
        self._make_remote = remote
        self._known: dict[int, tuple[float, Source]] = {}
        self._remotes: dict[str, Remote] = {}
        self._citexts: dict[int, Citext] = {}

    def source(self, source_id: int) -> Source:
        """What is known of a source, at most some seconds old. Raises DatabaseUnavailable."""
        kept = self._known.get(source_id)
        if kept is None or time.monotonic() - kept[0] > _FRESH_SECONDS:
            return self._ask(source_id)
        return kept[1]

    def _ask(self, source_id: int) -> Source:
        with autocommit(self._engine) as connection:
            source = get_source(connection, source_id)
        self._known[source_id] = (time.monotonic(), source)
        return source

    def read(self, source_id: int, signature: Signature, wanted: Keys, *, lock_seconds: float | None = None) -> Found:
        """The features of the wanted keys. See read_features. A lock is waited for `lock_seconds` at most, if given.

        Raises SourceAway, SourceGivenUp, SourceFailed, DatabaseUnavailable.
        """
        source = self.source(source_id)
        if source.is_away and not self._circuit.take_probe(source_id):
            # Somebody else looks, or it is too early; and what we know may be some seconds old.
            source = self._ask(source_id)
            if source.is_away:
                raise SourceGivenUp(source.name) if source.is_given_up else SourceAway(f"{source.name} is away.")
        try:
            with self.connected(source) as driver:
                citext = self._citext(driver, source)
                found = read_features(driver, _hurried(source, lock_seconds), signature, wanted, citext=citext)
        except SourceAway:
            is_given_up = self._circuit.open(source_id, is_probe=source.is_away)
            self._known.pop(source_id, None)
            if is_given_up:
                raise SourceGivenUp(source.name) from None
            raise
        except SourceRefuses:
            if not source.is_refusing:
                self._circuit.refuse(source_id)
                self._known.pop(source_id, None)
            raise
        if source.is_away or source.is_refusing:
            self._circuit.close(source_id)
            self._known.pop(source_id, None)
        return found

    @contextmanager
    def connected(self, source: Source) -> Iterator[PsycopgConnection]:
        """A connection to the source, in autocommit. Raises SourceAway where there is none."""
        if source.url_variable is None:
            with autocommit(self._engine) as connection:
                driver = driver_connection(connection)
                try:
                    yield driver
                except SourceAway as error:
                    # Our own database, and not only the source, where the line itself is lost.
                    if driver.closed:
                        raise DatabaseUnavailable(error) from error
                    raise
            return
        if source.url_variable not in self._remotes:
            self._remotes[source.url_variable] = self._make_remote(source.url_variable)
        remote = self._remotes[source.url_variable]
        try:
            with remote.connected(source) as driver:
                yield driver
        except psycopg2.Error as error:
            raise source_failure(source.name, error) from None

    def _citext(self, driver: PsycopgConnection, source: Source) -> Citext | None:
        if not has_citext(source):
            return None
        if source.id not in self._citexts:
            self._citexts[source.id] = find_citext(driver, source)
        return self._citexts[source.id]


def _hurried(source: Source, lock_seconds: float | None) -> Source:
    """The same source, whose locks are waited for no longer than that."""
    if lock_seconds is None:
        return source
    own = time_out(source.settings, LOCK) or math.inf  # to PostgreSQL 0 is for ever
    return replace(source, settings={**source.settings, LOCK: min(own, lock_seconds)})
