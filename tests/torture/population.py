"""The clients that the torture asks about, and the one hand that changes them.

What each client is at the beginning follows from its number. Every change goes through `Hand`, which writes it into the
ledger with times: so the checker knows what a client was at any moment, and needs no history from the service.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection

from tests.torture import models
from tests.torture.ledger import Ledger

ORDINARY = range(1, 2001)  # their income and overtime change all the while
FLEETING = range(5001, 5101)  # these are deleted and inserted again, too
ERASABLE = range(5201, 5241)  # nobody asks for these but the faults that have them erased
RAISES, KILLS, HANGS, NAN = 9001, 9002, 9003, 9004
SLOW = range(9100, 9400)
STILL = range(100_001, 108_001)  # nobody changes these: what selections select
WIDE = range(10**18, 10**18 + 70_000)  # the same, of nineteen digits; only where a fault has added them
UNKNOWN = 99_999_999  # no such client

STILL_AGE, WIDE_AGE = 30, 31  # of all STILL, of all WIDE, and of nobody else: so they can be selected
_SALES, _RESEARCH = "Sales", "Research & Development"
_SPECIAL = {RAISES: models.RAISES, KILLS: models.KILLS, HANGS: models.HANGS, NAN: models.NAN}


class Features(NamedTuple):
    """What the model sees of a client, in the order of its signature."""

    age: int
    monthly_income: int | None
    department: str
    over_time: bool


def initial(client: int) -> Features | None:
    """A client as it is at the beginning; None for one that there is not."""
    if client in ORDINARY or client in FLEETING or client in ERASABLE:
        age = 20 + client % 40
        age = 19 if age in (STILL_AGE, WIDE_AGE) else age
        return Features(age, 1000 + client % 997, _SALES if client % 3 == 0 else _RESEARCH, client % 2 == 0)
    if client in STILL:
        return Features(STILL_AGE, 1000 + client % 997, _SALES if client % 4 == 0 else _RESEARCH, client % 2 == 0)
    if client in WIDE:
        return Features(WIDE_AGE, 2000 + client % 997, _RESEARCH, False)
    if client in SLOW or client in _SPECIAL:
        return Features(_SPECIAL.get(client, models.SLOW), 5000, _RESEARCH, False)
    return None


def everybody() -> Iterator[int]:
    """All clients that there are at the beginning."""
    for clients in (ORDINARY, FLEETING, ERASABLE, sorted(_SPECIAL), SLOW, STILL):
        yield from clients


def selected(where: dict[str, object]) -> list[int]:
    """The STILL or WIDE clients with these values, in key order: what a selection by their age must find."""
    still = {STILL_AGE: STILL, WIDE_AGE: WIDE}.get(where["age"])  # type: ignore[call-overload]
    if still is None:
        raise ValueError(f"only clients that stand still can be counted upon: {where}")
    return [client for client in still if _matches(initial(client), where)]


def _matches(features: Features | None, where: dict[str, object]) -> bool:
    """Whether each column equals its value, or one of its values where that is a list."""
    return features is not None and all(
        getattr(features, name) in (value if isinstance(value, list) else [value]) for name, value in where.items()
    )


def fill(dsn: str) -> None:
    """Insert all clients."""
    add(dsn, everybody())


def add(dsn: str, clients: Iterable[int]) -> None:
    """Insert these clients as they are at the beginning."""
    rows = [(client, *features) for client in clients if (features := initial(client)) is not None]
    ids, *columns = map(list, zip(*rows, strict=True))
    session: connection = psycopg2.connect(dsn)
    with contextlib.closing(session), session, session.cursor() as cursor:
        cursor.execute(
            """INSERT INTO predictq_data.clients (client_id, age, monthly_income, department, over_time)
               SELECT * FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::text[], %s::bool[])""",
            [ids, *columns],
        )
        cursor.execute("ANALYZE predictq_data.clients")


class Hand:
    """Changes clients, one change at a time; each is in the ledger before it is tried and after it is committed."""

    def __init__(self, dsn: str, ledger: Ledger) -> None:
        self._dsn = dsn
        self._ledger = ledger
        self._lock = threading.Lock()
        self._number = 0

    def change(self, clients: Sequence[int], income: int, *, over_time: bool) -> None:
        """Give them this income and overtime, in one transaction. Raises psycopg2.Error."""
        changed = [features._replace(monthly_income=income, over_time=over_time)
                   for client in clients if (features := initial(client)) is not None]  # fmt: skip
        update = """UPDATE predictq_data.clients SET monthly_income = %s, over_time = %s WHERE client_id = ANY (%s)"""
        with self._lock, self._noted(clients, changed):
            self._execute((update, [income, over_time, list(clients)]))

    def replace(self, client: int, income: int) -> None:
        """Delete a client and insert it again with another income, in two transactions. Raises psycopg2.Error."""
        features = initial(client)
        if features is None:
            raise ValueError(f"there is no client {client}")
        features = features._replace(monthly_income=income)
        delete = "DELETE FROM predictq_data.clients WHERE client_id = %s"
        insert = """INSERT INTO predictq_data.clients (client_id, age, monthly_income, department, over_time)
                    VALUES (%s, %s, %s, %s, %s) ON CONFLICT (client_id) DO UPDATE
                    SET monthly_income = excluded.monthly_income, over_time = excluded.over_time"""
        with self._lock:
            with self._noted([client], [None]):
                self._execute((delete, [client]))
            with self._noted([client], [features]):
                self._execute((insert, [client, *features]))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """No change is begun during the block."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def _noted(self, clients: Sequence[int], features: Sequence[Features | None]) -> Iterator[None]:
        """Around one transaction. One that fails may have been committed or not: it has no second entry."""
        self._number += 1
        number = self._number
        self._ledger.write("change", number=number, clients=list(clients), features=features, sent=time.time())
        yield
        self._ledger.write("changed", number=number, committed=time.time())

    def _execute(self, statement: tuple[str, list[object]]) -> None:
        session: connection = psycopg2.connect(self._dsn, connect_timeout=3)
        with contextlib.closing(session), session, session.cursor() as cursor:
            cursor.execute(*statement)
