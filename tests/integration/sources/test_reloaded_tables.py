"""A table that is filled anew while it is read has been full at every moment, and nobody is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from shared.jobs.planning import Selection
from shared.sources.source import Source
from tests.integration.sources.source_support import connect, fetch, numbers, run, source, values, wanted
from tests.support import wait_until
from worker.exports.source_rows import read_rows
from worker.planning.key_reader import KeyReader
from worker.sources.reader import SourceReader
from worker.sources.reading import read_features

ROWS = 2000
KEYS = list(range(1, ROWS + 1))
THINGS = source("t", {"id": "bigint"}, {"x": "double precision"}, measured={"kind": "table"})
PARTED = replace(THINGS, settings={"lock_seconds": 0.5}, measured={"kind": "partitioned table"})
MADE = "CREATE TABLE t (id bigint PRIMARY KEY, x double precision)"
PARTS = f"""{MADE} PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (1000);
CREATE TABLE high PARTITION OF t FOR VALUES FROM (1000) TO (10000)"""
FILLED = f"INSERT INTO t SELECT n, n FROM generate_series(1, {ROWS}) n"
RELOADS = {
    "truncated": ["TRUNCATE t", FILLED],
    "made anew": ["DROP TABLE t", MADE, FILLED],
    "another type": ["ALTER TABLE t ALTER x TYPE numeric"],
}


class Opened:
    """Connections to a server, as readers of sources open them."""

    def __init__(self, driver: PsycopgConnection, isolation: str) -> None:
        self._dsn, self._password = driver.dsn, driver.info.password
        escaped = isolation.replace(" ", r"\ ")
        self._options = f"-c default_transaction_isolation={escaped} -c application_name=reader"

    @contextmanager
    def connected(self, _: Source) -> Iterator[PsycopgConnection]:
        other = connect(self._dsn, password=self._password, options=self._options)
        try:
            yield other
        finally:
            other.close()


@pytest.fixture(params=["read committed", "repeatable read"])
def opened(driver: PsycopgConnection, request: pytest.FixtureRequest) -> Opened:
    """Whatever the database's own default is."""
    return Opened(driver, request.param)


def during(driver: PsycopgConnection, statements: list[str], read: Callable[[], Any]) -> Any:
    """What is read by somebody who has begun while these statements were not committed, and waits for them."""
    found: list[Any] = []
    reader = threading.Thread(target=lambda: found.append(read()))
    run(driver, "BEGIN")
    for statement in statements:
        run(driver, statement)
    reader.start()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event_type = 'Lock'"
    watcher = connect(driver.dsn, password=driver.info.password)
    try:
        wait_until(lambda: bool(fetch(watcher, waiting)), seconds=30, what="the reader waits for the table")
    finally:
        watcher.close()
        run(driver, "COMMIT")
        reader.join(30)
    return found[0]


def by_keys(opened: Opened, keys: list[int], things: Source = THINGS) -> list[Any]:
    with opened.connected(things) as driver:
        return values(read_features(driver, things, numbers("x"), wanted(keys)))


def selected(opened: Opened, things: Source = THINGS, where: dict[str, Any] | None = None) -> int:
    """The keys that a planner reads of those that `where` selects."""
    selection = Selection(uuid4(), "owner", where or {}, 1, things.key_form.storage)
    with KeyReader(opened.connected, things, selection, after=None, spool_bytes=1 << 20) as reader:
        wait_until(lambda: reader.spool.is_ended, seconds=30, what="all keys are read")
        reader.check()
        return reader.spool.rows


READERS: dict[str, tuple[Callable[[Opened], Any], Any]] = {
    "many by key": (lambda opened: by_keys(opened, KEYS), list(map(float, KEYS))),
    "few by key": (lambda opened: by_keys(opened, [7, 9]), [7.0, 9.0]),
    "all keys": (selected, ROWS),
    "rows to train on": (
        lambda opened: read_rows(cast("SourceReader", opened), THINGS, ["x"], rows=None, seed=1).num_rows,
        ROWS,
    ),
}


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("reload", RELOADS)
def test_who_waits_for_a_table_that_is_filled_anew_finds_its_rows(
    driver: PsycopgConnection, opened: Opened, reload: str, how: str
) -> None:
    """COPY alone takes its snapshot first and then waits: it found an empty table, and clients were said to be none."""
    run(driver, MADE)
    run(driver, FILLED)
    read, expected = READERS[how]
    assert during(driver, RELOADS[reload], lambda: read(opened)) == expected


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
@pytest.mark.parametrize("keys", [[7, 9], KEYS], ids=["few", "many"])
def test_views_are_held_as_well(driver: PsycopgConnection, opened: Opened, kind: str, keys: list[int]) -> None:
    """The table behind a view, and a materialised view that is refreshed."""
    run(driver, MADE)
    run(driver, FILLED)
    run(driver, f"CREATE {kind} v AS SELECT id, x FROM t")
    view = source("v", {"id": "bigint"}, {"x": "double precision"})
    reload = RELOADS["truncated"] if kind == "VIEW" else ["REFRESH MATERIALIZED VIEW v"]
    assert during(driver, reload, lambda: by_keys(opened, keys, view)) == list(map(float, keys))


def test_a_partition_that_is_filled_anew_is_held_too(driver: PsycopgConnection, opened: Opened) -> None:
    """Where it alone is truncated, the table that it is a part of is not locked."""
    run(driver, PARTS)
    run(driver, FILLED)
    again = ["TRUNCATE low", f"{FILLED} WHERE n < 1000"]
    patient = replace(PARTED, settings={})
    for keys in ([7, 9], KEYS):
        assert during(driver, again, lambda keys=keys: by_keys(opened, keys, patient)) == list(map(float, keys))
    assert during(driver, again, lambda: selected(opened, patient)) == ROWS


def test_a_lock_on_a_part_that_nobody_needs_stops_nobody(driver: PsycopgConnection, opened: Opened) -> None:
    """While the newest part is loaded, jobs for clients of the others go on, however many clients a page has."""
    run(driver, PARTS)
    run(driver, FILLED)
    run(driver, "BEGIN")
    run(driver, "LOCK TABLE high IN ACCESS EXCLUSIVE MODE")
    for keys in (KEYS[:9], KEYS[:900]):
        assert by_keys(opened, keys, PARTED) == list(map(float, keys))
    assert selected(opened, PARTED, {"id": {"lt": 900}}) == 899
    run(driver, "ROLLBACK")
