"""Partitions that leave: counted as gone in one transaction, then taken away without a lock that readers feel.

From the mark on, the row accounting leaves these partitions out, because their rows are in `daily_counts`. Then jobs go
first: an answer whose job is gone is found by nobody. A job whose answers were gone would read as one that still waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from shared.postgres.engine import autocommit
from shared.retention.daily_counts import add_daily_counts
from shared.retention.due import DueRange
from shared.retention.errors import DoesNotAddUp
from shared.retention.held import refuse_new_hold
from shared.retention.ranges import PAGE_TABLES
from shared.retention.statements import insist, run_alone, upkeep_transaction
from shared.retention.weeks import WeekCount

_ORDER = ("jobs", *PAGE_TABLES)


def mark_leaving(engine: Engine, ranges: Sequence[DueRange], weeks: Sequence[WeekCount], *, newest_hold: int) -> None:
    """Count these partitions as gone, in one transaction or not at all. Raises DoesNotAddUp, HoldsChanged."""
    jobs = _sums((c.accepted, c.succeeded, c.failed, c.cancelled) for week in weeks for c in week.counts)
    pages = _sums((c.rows, c.succeeded, c.failed, c.cancelled) for due in ranges for c in due.stored)
    if jobs != pages:
        raise DoesNotAddUp(jobs, pages)
    names = [week.week.name for week in weeks]
    names += [due.batches.name(parent) for due in ranges for parent in PAGE_TABLES]
    with upkeep_transaction(engine) as connection:
        refuse_new_hold(connection, newest_hold)
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
    """Take away every partition that is marked, also what an earlier run left half done. Returns their names.

    Raises DatabaseBlocked where somebody reads the tables for longer than this has patience: the next run goes on.
    """
    dropped = []
    with autocommit(engine) as connection:
        leaving = [(row.name, row.parent) for row in connection.execute(_LEAVING)]
    for name, parent in sorted(leaving, key=lambda one: (_ORDER.index(one[1]), one[0])):
        insist(lambda name=name, parent=parent: _detach(engine, name, parent))  # type: ignore[misc]
        insist(lambda name=name: _drop(engine, name))  # type: ignore[misc]
        dropped.append(name)
    return dropped


def _detach(engine: Engine, name: str, parent: str) -> None:
    """New statements stop to see the partition at once; then those that see it are waited for."""
    with autocommit(engine) as connection:
        state = _state(connection, name)
    if state is None:
        return
    how = "FINALIZE" if state else "CONCURRENTLY"
    run_alone(engine, f'ALTER TABLE predictq.{parent} DETACH PARTITION predictq."{name}" {how}')


def _state(connection: Connection, name: str) -> bool | None:
    """Whether a detach is pending; None where the partition is detached, or gone."""
    return connection.execute(_STATE, {"name": name}).scalar_one_or_none()


def _drop(engine: Engine, name: str) -> None:
    with upkeep_transaction(engine) as connection:
        connection.execute(text(f'DROP TABLE IF EXISTS predictq."{name}"'))
        connection.execute(text("DELETE FROM predictq.partitions WHERE name = :name"), {"name": name})


_LEAVING = text("SELECT name, parent FROM predictq.partitions WHERE leaving_at IS NOT NULL")
_STATE = text("""
SELECT i.inhdetachpending FROM pg_inherits i WHERE i.inhrelid = to_regclass('predictq.' || quote_ident(:name))
""")
