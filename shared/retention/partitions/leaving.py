"""Partitions that leave: counted as gone in one transaction, then dropped while nobody reads their table for long.

From the mark on, the row accounting leaves these partitions out, because their rows are in `daily_counts`. Then jobs go
first: an answer whose job is gone is found by nobody. A job whose answers were gone would read as one that still waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Engine, text

from shared.errors import DatabaseBlocked
from shared.postgres.engine import autocommit, transaction
from shared.retention.daily_counts import add_daily_counts, delete_exports_without_jobs
from shared.retention.due import DueRange
from shared.retention.partitions.ranges import PAGE_TABLES
from shared.retention.partitions.weeks import WeekCount
from shared.retention.rules.errors import DoesNotAddUp
from shared.retention.standing_rules import StandingRules, refuse_changed_rules
from shared.retention.statements import insist, upkeep_transaction

_ORDER = ("jobs", *PAGE_TABLES)


def mark_leaving(engine: Engine, ranges: Sequence[DueRange], weeks: Sequence[WeekCount], rules: StandingRules) -> None:
    """Count these partitions as gone, in one transaction or not at all.

    Raises DoesNotAddUp, HoldsChanged, PeriodsChanged.
    """
    jobs = _sums((c.accepted, c.succeeded, c.failed, c.cancelled) for week in weeks for c in week.counts)
    pages = _sums((c.rows, c.succeeded, c.failed, c.cancelled) for due in ranges for c in due.stored)
    if jobs != pages:
        raise DoesNotAddUp(jobs, pages)
    names = [week.week.name for week in weeks]
    names += [due.batches.name(parent) for due in ranges for parent in PAGE_TABLES]
    with upkeep_transaction(engine) as connection:
        refuse_changed_rules(connection, rules)
        add_daily_counts(connection, [count for week in weeks for count in week.counts])
        connection.execute(_MARK, {"names": names})


class _Sums(NamedTuple):
    rows: int
    succeeded: int
    failed: int
    cancelled: int


def _sums(counts: Iterable[tuple[int, int, int, int]]) -> _Sums:
    held = [0, 0, 0, 0]
    for count in counts:
        held = [a + b for a, b in zip(held, count, strict=True)]
    return _Sums(*held)


_MARK = text("UPDATE predictq.partitions SET leaving_at = clock_timestamp() WHERE name = ANY (CAST(:names AS text[]))")


def drop_leaving(engine: Engine) -> list[str]:
    """Take away every partition that is marked, also what an earlier run left. Returns their names.

    Raises DatabaseBlocked where somebody reads the tables for longer than this has patience: the next run goes on.
    """
    dropped = []
    with autocommit(engine) as connection:
        leaving = [(row.name, row.parent) for row in connection.execute(_LEAVING)]
    for name, parent in sorted(leaving, key=lambda one: (_ORDER.index(one[1]), one[0])):
        _wait_for_long_readers(engine, parent)
        insist(lambda name=name: _drop(engine, name))  # type: ignore[misc]
        dropped.append(name)
    if dropped:
        with transaction(engine) as connection:
            delete_exports_without_jobs(connection)
    return dropped


def _wait_for_long_readers(engine: Engine, parent: str) -> None:
    """Wait while somebody reads a table for long. Raises DatabaseBlocked where that does not end.

    A drop locks the parent, and whoever comes meanwhile queues behind it. So nobody asks for that lock while a long
    download or a report holds its own: then it is had within the time of the short transactions that are left.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    holders = _holders(engine, parent)
    while holders:
        time.sleep(_LOOK_SECONDS)
        holders &= _holders(engine, parent)
        if holders and time.monotonic() > deadline:
            raise DatabaseBlocked(TimeoutError(f"a transaction reads {parent} for longer than {_PATIENCE_SECONDS} s"))


def _holders(engine: Engine, parent: str) -> set[str]:
    with autocommit(engine) as connection:
        return set(connection.execute(_HOLDERS, {"table": f"predictq.{parent}"}).scalars())


def _drop(engine: Engine, name: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_DROP_LOCK_TIMEOUT}'"))
        connection.execute(text("SELECT predictq.drop_leaving_partition(:name)"), {"name": name})


_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_DROP_LOCK_TIMEOUT = "50ms"  # the longest that others wait for us, where a long reader came at the last moment
_LEAVING = text("SELECT name, parent FROM predictq.partitions WHERE leaving_at IS NOT NULL")
_HOLDERS = text("""
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = to_regclass(:table) AND granted AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
