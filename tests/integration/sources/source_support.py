"""A server for tests of sources, whose role may do all; and what they share."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg2
import pyarrow as pa
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from devstack.servers.cluster import ROLE, run_as_superuser
from devstack.servers.postgres import EmbeddedPostgres
from shared.jobs.planning import Selection
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.source import KeyColumn, Source, SourceColumn
from worker.planning.key_cutter import KeyCutter
from worker.planning.key_reader import KeyReader
from worker.sources.key_columns import Keys
from worker.sources.reading import Found

_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB", "autovacuum": "off"}


@contextmanager
def source_server(directory: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own in which extensions can be made, and roles to become by SET ROLE."""
    server = EmbeddedPostgres(directory, settings=_SETTINGS)
    server.prepare()
    run_as_superuser(server.pgdata, server.programs, server._account, f"ALTER ROLE {ROLE} SUPERUSER;\n", sync=False)
    with server:
        yield server
        server.destroy()


def connect(url: str, **more: Any) -> PsycopgConnection:
    """A connection in autocommit."""
    driver = psycopg2.connect(url.replace("+psycopg2", ""), **{"client_encoding": "UTF8", **more})
    driver.autocommit = True
    return driver


def run(driver: PsycopgConnection, statement: str, *values: Any) -> None:
    with driver.cursor() as cursor:
        cursor.execute(statement, values or None)


def fetch(driver: PsycopgConnection, query: str) -> list[Any]:
    with driver.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]


def source(relation: str, key: dict[str, str], columns: dict[str, str], **more: Any) -> Source:
    return Source(
        more.pop("id", 1),
        "things",
        None,
        more.pop("schema", "public"),
        relation,
        tuple(KeyColumn(name, kind) for name, kind in key.items()),
        tuple(SourceColumn(name, kind) for name, kind in columns.items()),
        **more,
    )


def numbers(*names: str) -> Signature:
    return Signature(tuple(FeatureSpec(name, FeatureKind.NUMBER, nullable=True) for name in names))


def words(*names: str) -> Signature:
    return Signature(tuple(FeatureSpec(name, FeatureKind.CATEGORY, nullable=True) for name in names))


def wanted(keys: Sequence[Any]) -> Keys:
    return np.unique(np.array(keys, np.int64)) if isinstance(keys[0], int) else pa.array(keys, pa.string())


def values(found: Found, column: int = 0) -> list[Any]:
    """The feature of each wanted key, None where there is no row."""
    rows = found.features.column(column).to_pylist()
    return [rows[place] if place >= 0 else None for place in found.places]


def planned(driver: PsycopgConnection, things: Source, where: dict[str, Any], *, after: str | None = None) -> list[str]:
    """The canonical keys, as a planner reads them and cuts them into pages of two, read back by PostgreSQL."""

    @contextmanager
    def opened(_: Source) -> Iterator[PsycopgConnection]:
        other = connect(driver.dsn, password=driver.info.password)
        try:
            yield other
        finally:
            other.close()

    selection = Selection(uuid4(), "owner", where, 1, things.key_form.storage)
    keys: list[str] = []
    run(driver, "CREATE TEMPORARY TABLE IF NOT EXISTS pages (keys text[]); TRUNCATE pages")
    with KeyReader(opened, things, selection, after=after, spool_bytes=1 << 20) as reader:
        cutter = KeyCutter(reader.spool, planned=0, most_rows=2, canonical=reader.canonical_line)
        deadline = time.monotonic() + 30
        while not cutter.is_done:
            assert time.monotonic() < deadline
            reader.check()
            page = cutter.next_page()
            if page is None:
                reader.spool.wait_for_more(0.05)
                continue
            assert page.keys is not None
            _copy(driver, page.keys)
            rows = fetch(driver, "SELECT keys FROM pages ORDER BY ctid DESC LIMIT 1")[0]
            assert rows[-1] == page.last_key
            keys += rows
        reader.check()
    return keys


def _copy(driver: PsycopgConnection, keys: bytes) -> None:
    with driver.cursor() as cursor:
        cursor.copy_expert("COPY pages FROM STDIN", io.BytesIO(b"{%b}\n" % keys))
