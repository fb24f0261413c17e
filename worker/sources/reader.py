"""The sources of one process: what is known of them, connections to them, and reading features through these."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case
from sqlalchemy import Engine

from shared.errors import DatabaseUnavailable
from shared.models.signature import Signature
from shared.postgres.engine import autocommit, driver_connection
from shared.postgres.outages import driver_error
from shared.sources.source import Source, get_source
from worker.sources.connections import Remote
from worker.sources.failures import SourceAway, source_failure
from worker.sources.key_columns import Keys
from worker.sources.reading import Citext, Found, read_features

_FRESH_SECONDS = 10.0  # for which what is known of a source is not asked for again


class SourceReader:
    """Reads features. Sources in predictq's own database are read over `engine`, others over a connection each."""

    def __init__(self, engine: Engine, *, remote: Callable[[str], Remote] = Remote) -> None:
        self._engine = engine
        self._make_remote = remote
        self._known: dict[int, tuple[float, Source]] = {}
        self._remotes: dict[str, Remote] = {}
        self._citexts: dict[int, Citext] = {}

    def source(self, source_id: int) -> Source:
        """What is known of a source, at most some seconds old. Raises DatabaseUnavailable."""
        now = time.monotonic()
        kept = self._known.get(source_id)
        if kept is None or now - kept[0] > _FRESH_SECONDS:
            with autocommit(self._engine) as connection:
                kept = (now, get_source(connection, source_id))
            self._known[source_id] = kept
        return kept[1]

    def read(self, source_id: int, signature: Signature, wanted: Keys) -> Found:
        """The features of the wanted keys, which are distinct. Raises SourceAway, SourceFailed, DatabaseUnavailable."""
        source = self.source(source_id)
        with self.connected(source) as driver:
            citext = self._citext(driver, source)
            return read_features(driver, source, signature, wanted, citext=citext)

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
        if not any(column.type == "citext" for column in source.key):
            return None
        if source.id not in self._citexts:
            try:
                with driver.cursor() as cursor:
                    cursor.execute(_CITEXT)
                    schema, knows_letters = cursor.fetchone() or ("public", False)
            except psycopg2.Error as error:
                raise source_failure(source.name, driver_error(error) or error) from None
            self._citexts[source.id] = Citext(schema, knows_letters)
        return self._citexts[source.id]


_CITEXT = r"""
SELECT n.nspname, lower(U&'\00C9\0416') = U&'\00E9\0436'
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typname = 'citext' ORDER BY t.oid LIMIT 1
"""
