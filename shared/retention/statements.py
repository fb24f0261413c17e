"""Transactions of the upkeep: the guards let them pass, and they wait for no lock longer than readers can bear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, text

from shared.errors import DatabaseBlocked
from shared.postgres.engine import transaction

T = TypeVar("T")

LOCK_TIMEOUT = "100ms"  # behind a waiting lock of a table everybody else waits, too
_TRIES = 20
_PAUSE_SECONDS = 0.5


@contextmanager
def upkeep_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that may change what is append-only. Raises DatabaseBlocked where a lock is not to be had."""
    with transaction(engine) as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        # Else names are shown without their schema to a role that is called predictq, as the owner may be.
        connection.execute(text("SET LOCAL search_path = ''"))
        yield connection


def insist_on(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Do `work` in a transaction of `upkeep_transaction`, again and again as `insist` does."""

    def attempt() -> T:
        with upkeep_transaction(engine) as connection:
            return work(connection)

    return insist(attempt)


def insist(work: Callable[[], T]) -> T:
    """Try again and again where a lock is not to be had, with pauses in which others pass. At last DatabaseBlocked."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except DatabaseBlocked:
            time.sleep(_PAUSE_SECONDS)
    return work()
