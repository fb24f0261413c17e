"""Compaction: the tables that erasures have touched are written anew, so that no old byte stays in their files.

Plain VACUUM does not do that: it frees space and overwrites nothing. One table at a time, each under a lock that is
asked for briefly and again and again, so that nobody queues behind it; who reads the table meanwhile waits some 4 s per
gigabyte. The open partition is closed first. `predictq.rewrite_table` does it with the rights of the owner, for the
upkeep process, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg2.errors import DataCorrupted
from sqlalchemy import Connection, Engine, text

from shared.errors import DatabaseBlocked
from shared.postgres.engine import autocommit, driver_connection, transaction

_LOCK_MILLISECONDS = 100
_PAUSE_SECONDS = 0.5
LARGEST_OPEN_BYTES = 256 * 1024 * 1024  # of a partition of jobs that still grows; a larger one waits for its week's end
# By day of any table that acceptance writes: it is locked for a second or less, and calls meanwhile are answered 503.
LARGEST_BYTES_BY_DAY = 16 * 1024 * 1024
NIGHT = range(1, 5)  # hours (UTC) in which the upkeep process compacts

# Small tables that may have held her. What of them is a child goes after what it refers to.
_SMALL = (
    "prediction_batches", "idempotency_keys", "erasures", "erasure_jobs", "holds", "errands",
    "uploads", "upload_pieces", "exports", "export_pieces",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compacted:
    """One table written anew."""

    table: str
    bytes_before: int
    bytes_after: int
    seconds: float


@dataclass(slots=True)
class Report:
    """What a compaction did."""

    compacted: list[Compacted] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)  # why, by table: they stay marked
    closed_at: int | None = None  # the first batch id of the partition that is open now, where one was closed

    @property
    def is_complete(self) -> bool:
        """Whether no byte of an erased person is left in a table file."""
        return not self.left


def _untold(_done: Compacted) -> None:
    """Whoever gives no callback wants no word about progress."""


def compact(
    engine: Engine,
    *,
    patience_seconds: float = 120,
    is_night: bool = False,
    on_table: Callable[[Compacted], None] = _untold,
) -> Report:
    """Write anew what erasures have touched; at most `patience_seconds` are waited for the lock of each table.

    Large tables that acceptance writes to are left unless `is_night`: jobs cannot be accepted while they are written.
    What could not be done stays marked for the next time, with the reason in the report.
    """
    report = Report()
    with transaction(engine) as connection:
        erasures = list(connection.execute(_ENDED).scalars())
        report.closed_at = _close_open_partition(connection)
    small = _small(engine, report, is_night=is_night) if erasures else []
    for name, mark in [*_marked(engine, report, is_night=is_night), *small]:
        done = _compact_one(engine, name, patience_seconds)
        if isinstance(done, str):
            report.left[name] = done
            continue
        report.compacted.append(done)
        on_table(done)
        if mark is not None:
            with transaction(engine) as connection:
                connection.execute(_UNMARK, {"name": name, "mark": mark})
    if report.is_complete and erasures:
        with transaction(engine) as connection:
            connection.execute(_COMPACTED, {"ids": [str(erasure_id) for erasure_id in erasures]})
    return report


_ENDED = text("SELECT id FROM predictq.erasures WHERE finished_at IS NOT NULL AND compacted_at IS NULL")
_COMPACTED = text("""
UPDATE predictq.erasures SET compacted_at = clock_timestamp() WHERE id = ANY(CAST(:ids AS uuid[]))
""")
# What was touched again while it ran stays marked.
_UNMARK = text("""
UPDATE predictq.partitions SET needs_compaction = false, compacted_at = clock_timestamp()
WHERE name = :name AND marked_xid = CAST(:mark AS xid8)
""")
_OPEN_MARKED = text("""
SELECT FROM predictq.partitions WHERE needs_compaction AND parent <> 'jobs' AND closed_at IS NULL
    AND first_batch_id <= (SELECT last_value FROM predictq.batch_ids) LIMIT 1
""")


def _close_open_partition(connection: Connection) -> int | None:
    """Go on in the next partition where the one that grows is marked; returns its first batch id."""
    if connection.execute(_OPEN_MARKED).first() is None:
        return None
    query = text("SELECT predictq.close_batch_partition()")
    closed = connection.execute(query).scalar_one()
    if closed is None:  # none was made ahead
        connection.execute(text("SELECT predictq.make_batch_partitions(2)"))
        closed = connection.execute(query).scalar_one()
    return None if closed is None else int(closed)


_MARKED = text("""
SELECT p.name, p.parent = 'jobs' AND p.first_week + 7 > (now() AT TIME ZONE 'UTC')::date AS grows,
       pg_total_relation_size(format('predictq.%I', p.name)::regclass) AS size, CAST(p.marked_xid AS text) AS mark
FROM predictq.partitions p
WHERE p.needs_compaction AND p.leaving_at IS NULL ORDER BY p.name
""")


def _marked(engine: Engine, report: Report, *, is_night: bool) -> list[tuple[str, str | None]]:
    with transaction(engine) as connection:
        rows = connection.execute(_MARKED).all()
    found: list[tuple[str, str | None]] = []
    for name, grows, size, mark in rows:
        if grows and size > LARGEST_OPEN_BYTES:
            report.left[name] = "it still grows and is large: it waits for the end of its week"
        elif grows and size > LARGEST_BYTES_BY_DAY and not is_night:
            report.left[name] = _WAITS_FOR_NIGHT
        else:
            found.append((name, mark))
    return found


_WAITS_FOR_NIGHT = (
    "no job could be accepted while it is written: the upkeep process does it between "
    f"{NIGHT.start} and {NIGHT.stop} UTC"
)


def _small(engine: Engine, report: Report, *, is_night: bool) -> list[tuple[str, None]]:
    """The small tables, but for what has become large."""
    with transaction(engine) as connection:
        sizes = {name: _size(connection, name) for name in _SMALL}
    large = [] if is_night else [name for name, size in sizes.items() if size > LARGEST_BYTES_BY_DAY]
    report.left.update(dict.fromkeys(large, _WAITS_FOR_NIGHT))
    return [(name, None) for name in _SMALL if name not in large]


def _compact_one(engine: Engine, name: str, patience_seconds: float) -> Compacted | str:
    """Write one table anew; a text says why it was not done, or not to the end."""
    with transaction(engine) as connection:
        before = _size(connection, name)
    start = time.monotonic()
    problem = _vacuum(engine, name, patience_seconds)
    if problem is not None:
        return problem
    seconds = time.monotonic() - start
    with transaction(engine) as connection:
        return Compacted(name, before, _size(connection, name), seconds)


def _size(connection: Connection, name: str) -> int:
    query = text("SELECT pg_total_relation_size(format('predictq.%I', CAST(:name AS text))::regclass)")
    return int(connection.execute(query, {"name": name}).scalar_one())


def _vacuum(engine: Engine, name: str, patience_seconds: float) -> str | None:
    deadline = time.monotonic() + patience_seconds
    while True:
        problem = _try_vacuum(engine, name)
        if problem is None or time.monotonic() > deadline:
            return problem
        time.sleep(_PAUSE_SECONDS)


def _try_vacuum(engine: Engine, name: str) -> str | None:
    """Plain VACUUM first: it goes by this database's transactions. Writing anew goes by those of all databases.

    Where one of another database is old, it would copy old rows whose TOAST autovacuum has taken away, and fail with
    "missing chunk number 0" (seen). Nothing is lost then, and nothing done. Of the upkeep process's role PostgreSQL
    takes no VACUUM, and says so by a warning: then autovacuum's must do.
    """
    try:
        with autocommit(engine) as connection:
            driver = driver_connection(connection)
            with driver.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{_LOCK_MILLISECONDS}ms'")
                try:
                    cursor.execute(f'VACUUM predictq."{name}"')
                    del driver.notices[:]
                    cursor.execute("SELECT predictq.rewrite_table(%s)", (name,))
                finally:
                    cursor.execute("RESET lock_timeout")
            kept = [number for notice in driver.notices if (number := _kept_rows(notice)) is not None]
    except DatabaseBlocked:
        return "somebody holds a lock on it"
    except DataCorrupted:
        return "an older transaction, of another database perhaps, can still see its old rows: wait for its end"
    if any(kept):
        return f"an older transaction can still see {sum(kept)} of its old rows: end it, or wait for its end"
    return None


def _kept_rows(notice: str) -> int | None:
    """Old rows that were written anew, because a transaction that is still open may read them; None of other notices.

    "INFO: "predictq.t": found 3 removable, 9 nonremovable row versions in 1 pages
     DETAIL: 2 dead row versions cannot be removed yet.", in the server's language: the first number of the second line.
    """
    lines = notice.splitlines()
    found = re.search(r"\d+", lines[1]) if len(lines) > 1 else None
    return int(found[0]) if found else None
