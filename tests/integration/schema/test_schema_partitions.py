"""Partitions: each is as its parent, keeps no sample of what may name a client, and work goes on in the next one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, text

from shared.postgres.engine import transaction
from shared.status import Queue
from tests.integration.jobs.jobs_support import answer, take
from tests.support import add_clients, add_model, submit_bulk, submit_singles, wait_until


def run(engine: Engine, *statements: str) -> None:
    with transaction(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def run_on(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))
    connection.commit()


def one(engine: Engine, query: str) -> object:
    with transaction(engine) as connection:
        return connection.execute(text(query)).scalar_one()


# What each partition must have of its parent: constraints and indexes by their definitions, triggers by name.
_PARTS = """
WITH parts AS (
    SELECT c.oid, c.relname FROM pg_class c
    WHERE c.relname = :parent AND c.relnamespace = 'predictq'::regnamespace
    UNION ALL
    SELECT c.oid, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = ('predictq.' || :parent)::regclass
)
SELECT p.relname,
    ARRAY(SELECT regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', '') FROM pg_index x
          WHERE x.indrelid = p.oid AND x.indisvalid ORDER BY 1) AS indexes,
    ARRAY(SELECT t.tgname || ' ' || t.tgtype FROM pg_trigger t WHERE t.tgrelid = p.oid ORDER BY 1) AS triggers,
    ARRAY(SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
          WHERE k.conrelid = p.oid AND k.contype = 'c' ORDER BY 1) AS checks,
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = p.oid AND a.attstattarget = 0) AS unsampled,
    ARRAY(SELECT a.attname || ' ' || a.attstorage::text FROM pg_attribute a
          WHERE a.attrelid = p.oid AND a.attnum > 0 ORDER BY 1) AS storage
FROM parts p ORDER BY p.relname <> :parent, p.relname
"""
_MUST_NOT_BE_SAMPLED = {
    "jobs": {"selection", "error_detail"},
    "batch_requests": {"keys_int8", "keys_uuid", "keys_text", "spelled", "given"},
    "batch_outputs": {"features", "key_filter", "error_details"},
    "key_hashes": {"hash"},
}


@pytest.mark.parametrize("later", [False, True], ids=["from the start", "made later"])
@pytest.mark.parametrize("parent", list(_MUST_NOT_BE_SAMPLED))
def test_a_partition_is_as_its_parent(engine: Engine, parent: str, later: bool) -> None:
    """Indexes, triggers, checks and storage; and of no column that may name a client does PostgreSQL keep samples."""
    if later:
        run(
            engine,
            "SELECT predictq.make_job_partitions(interval '30 weeks')",
            "SELECT predictq.make_batch_partitions(12)",
        )
    with transaction(engine) as connection:
        whole, *parts = connection.execute(text(_PARTS), {"parent": parent}).all()
    assert len(parts) >= (13 if later else 8)
    for part in parts:
        assert part.indexes == whole.indexes
        assert part.triggers == whole.triggers
        assert part.checks == whole.checks
        assert part.storage == whole.storage
        assert set(part.unsampled) >= _MUST_NOT_BE_SAMPLED[parent]


def test_no_sample_names_a_client(engine: Engine) -> None:
    """After ANALYZE, pg_stats holds no value of a key, a feature, an error's text or a hash."""
    add_clients(engine, 3)
    add_model(engine)
    for _ in range(3):
        submit_singles(engine, [1, 2])
        answer(engine, take(engine, Queue.INTERACTIVE), errors=1)
    run(engine, "ANALYZE")
    query = """
SELECT string_agg(DISTINCT tablename || '.' || attname, ' ') FROM pg_stats
WHERE schemaname = 'predictq' AND attname IN ('keys_int8', 'keys_text', 'keys_uuid', 'given', 'features', 'key_filter',
    'error_details', 'hash', 'client_key', 'planned_key', 'values')"""
    assert one(engine, query) is None
    assert one(engine, "SELECT count(*) FROM pg_stats WHERE tablename = 'batch_outputs_0' AND attname = 'fence'") == 1


@pytest.mark.parametrize("closes", [False, True])
def test_work_goes_on_in_the_next_partition(engine: Engine, closes: bool) -> None:
    """When a partition is closed, batch ids go on in the next one, and what is open in the old one ends there."""
    add_clients(engine, 3)
    add_model(engine)
    first = submit_bulk(engine, [1, 2], batch_rows=1)
    answer(engine, take(engine))
    if closes:
        run(engine, "SELECT predictq.close_batch_partition()")
    second = submit_bulk(engine, [1, 2], batch_rows=1)
    assert second.batch_ids[0] > first.batch_ids[1]
    for _ in range(3):
        answer(engine, take(engine))
    assert one(engine, "SELECT count(*) FROM predictq.jobs WHERE status = 'succeeded'") == 2
    assert one(engine, "SELECT count(DISTINCT tableoid) FROM predictq.batch_outputs") == (2 if closes else 1)


def test_a_closing_that_waits_sets_no_id_back(engine: Engine) -> None:
    """As `predictq compact` beside the upkeep: ids that are drawn after another closing meanwhile do not come again."""
    draw = text("SELECT max(nextval('predictq.batch_ids')) FROM generate_series(1, :many)")
    with ThreadPoolExecutor(1) as pool, engine.connect() as other, engine.connect() as closer:
        pid = closer.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("LOCK TABLE predictq.partitions IN ACCESS EXCLUSIVE MODE"))
        closing = pool.submit(run_on, closer, "SELECT predictq.close_batch_partition()")
        waits = text("SELECT count(*) > 0 FROM pg_locks WHERE pid = :pid AND NOT granted")
        wait_until(lambda: bool(other.execute(waits, {"pid": pid}).scalar_one()), what="the closing")
        last = other.execute(draw, {"many": 1_000_010}).scalar_one()
        other.commit()
        closing.result(timeout=60)
    next_id = one(engine, "SELECT nextval('predictq.batch_ids')")
    assert isinstance(next_id, int)
    assert next_id > last


def test_closings_at_once_go_no_further_than_there_are_partitions(engine: Engine) -> None:
    """Each reads anew how far the one before went; where there is no range to go on in, it does nothing."""
    with ThreadPoolExecutor(2) as pool:
        ranges = one(engine, "SELECT count(*) FROM predictq.partitions WHERE parent = 'batch_outputs'")
        assert isinstance(ranges, int)
        closings = [pool.submit(one, engine, "SELECT predictq.close_batch_partition()") for _ in range(ranges + 2)]
        firsts = [closing.result(timeout=120) for closing in closings]
    gone_on_at = [first for first in firsts if first is not None]
    assert len(set(gone_on_at)) == len(gone_on_at) == ranges - 1
    assert one(engine, "SELECT last_value FROM predictq.batch_ids") == max(gone_on_at)


def test_a_closing_beside_calls_gives_no_id_twice(engine: Engine) -> None:
    """Ids that are drawn while a range is closed, at its very end even, are nobody else's."""
    run(engine, "SELECT setval('predictq.batch_ids', 999900)")
    drawn: list[int] = []
    ended = threading.Event()

    def draw() -> None:
        with engine.connect() as connection:
            while not ended.is_set():
                drawn.extend(connection.execute(text("SELECT nextval('predictq.batch_ids')")).scalars())

    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(draw)
        wait_until(lambda: len(drawn) > 20, what="ids")
        for _ in range(3):
            run(engine, "SELECT predictq.close_batch_partition()")
        ended.set()
        drawing.result(timeout=30)
    assert drawn == sorted(set(drawn))
    assert drawn[-1] > 2_000_000
