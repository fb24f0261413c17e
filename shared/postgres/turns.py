"""One at a time: a lock of PostgreSQL that lasts as long as the connection that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from sqlalchemy import Connection, Engine, text

from shared.postgres.engine import autocommit


class Turn(IntEnum):
    """What only one process does at a time. The numbers are any, but fixed."""

    UPKEEP = 0x70726501
    RETENTION = 0x70726502


@contextmanager
def try_turn(engine: Engine, turn: Turn) -> Iterator[Connection | None]:
    """The connection that holds the lock during the block, or None where another process has it.

    The lock ends with the connection: who holds it for long must ask now and then whether it is still there.
    Raises DatabaseUnavailable.
    """
    with autocommit(engine) as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:turn)"), {"turn": int(turn)}).scalar_one():
            yield None
            return
        try:
            yield connection
        finally:
            # With the connection the lock is gone, too; to ask for it would hide why the block ended.
            if not connection.invalidated:
                connection.execute(text("SELECT pg_advisory_unlock(:turn)"), {"turn": int(turn)})
