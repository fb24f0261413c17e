"""The clients that the torture asks about, and the one hand that changes them.

What each client is at the beginning follows from its number. Every change goes through `Hand`, which writes it into the
ledger with times: so the checker knows what a client was at any moment, and needs no history from the service.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection, cursor

from tests.torture import models
from tests.torture.checking.ledger import Ledger

# Every key but those of WIDE is 6100 and five digits more: `planted_logs` can tell it from other numbers in a log.
KEYS = 610_000_000
ORDINARY = range(KEYS + 1, KEYS + 2001)  # their income and overtime change all the while
FLEETING = range(KEYS + 5001, KEYS + 5101)  # these are deleted and inserted again, too
ERASABLE = range(KEYS + 5201, KEYS + 5241)  # nobody asks for these but the faults that have them erased
RAISES, KILLS, HANGS, NAN = KEYS + 9001, KEYS + 9002, KEYS + 9003, KEYS + 9004
SLOW = range(KEYS + 9100, KEYS + 9400)
STILL = range(KEYS + 50_001, KEYS + 58_001)  # nobody changes these: what selections select
WIDE = range(10**18, 10**18 + 70_000)  # the same, of nineteen digits; only where a fault has added them
UNKNOWN = KEYS + 99_999  # no such client

STILL_AGE, WIDE_AGE = 30, 31  # of all STILL, of all WIDE, and of nobody else: so they can be selected
_SALES, _RESEARCH = "Sales", "Research & Development"
_SPECIAL = {RAISES: models.RAISES, KILLS: models.KILLS, HANGS: models.HANGS, NAN: models.NAN}


class Features(NamedTuple):
    """What the model sees of a client, in the order of its signature."""

    age: int
    monthly_income: int | None
    department: str
    over_time: bool


def income(number: int) -> int:
    """A monthly income for each number from 0 to 9,999: eight digits, 730 in their midst, to be told in a log."""
    return (1 + number % 9) * 10_000_000 + 7_300_000 + number


def new_key() -> str:
    """An Idempotency-Key that nobody else has, to be told in a log."""
    return f"idempotent-{uuid.uuid4().hex}"


def initial(client: int) -> Features | None:
    """A client as it is at the beginning; None for one that there is not."""
    if client in ORDINARY or client in FLEETING or client in ERASABLE:
        age = 20 + client % 40
        age = 19 if age in (STILL_AGE, WIDE_AGE) else age
        return Features(age, income(1000 + client % 997), _SALES if client % 3 == 0 else _RESEARCH, client % 2 == 0)
    if client in STILL:
        return Features(
            STILL_AGE, income(1000 + client % 997), _SALES if client % 4 == 0 else _RESEARCH, client % 2 == 0
        )
    if client in WIDE:
        return Features(WIDE_AGE, income(2000 + client % 997), _RESEARCH, False)
    if client in SLOW or client in _SPECIAL:
        return Features(_SPECIAL.get(client, models.SLOW), income(5000), _RESEARCH, False)
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
    """Changes clients, one change at a time; each is in the ledger before it is tried and after it is committed.

    The ledger so is an append-only log of the source, kept by the one who writes it. Whether a change whose commit was
    not confirmed has been made is looked up before the next one.
    """

    def __init__(self, dsn: str, ledger: Ledger) -> None:
        self._dsn = dsn
        self._ledger = ledger
        self._lock = threading.Lock()
        self._number = 0
        self._doubtful: _Change | None = None

    def change(self, clients: Sequence[int], income: int | None, *, over_time: bool) -> None:
        """Give them this income and overtime, in one transaction; none of them is absent. Raises psycopg2.Error."""
        changed = [features._replace(monthly_income=income, over_time=over_time)
                   for client in clients if (features := initial(client)) is not None]  # fmt: skip
        update = "UPDATE predictq_data.clients SET monthly_income = %s, over_time = %s WHERE client_id = ANY (%s)"
        self._make(_Change(clients, changed), update, [income, over_time, list(clients)])

    def remove(self, client: int) -> None:
        """Delete a client. Raises psycopg2.Error."""
        self._make(_Change([client], [None]), "DELETE FROM predictq_data.clients WHERE client_id = %s", [client])

    def insert(self, client: int, income: int | None) -> None:
        """Insert a client that was deleted, with this income. Raises psycopg2.Error."""
        features = initial(client)
        if features is None:
            raise ValueError(f"there is no client {client}")
        features = features._replace(monthly_income=income)
        insert = """INSERT INTO predictq_data.clients (client_id, age, monthly_income, department, over_time)
                    VALUES (%s, %s, %s, %s, %s) ON CONFLICT (client_id) DO UPDATE
                    SET monthly_income = excluded.monthly_income, over_time = excluded.over_time"""
        self._make(_Change([client], [features]), insert, [client, *features])

    def settle(self) -> None:
        """Find out whether the last change was made, if that is not known. Raises psycopg2.Error."""
        with self._lock:
            self._settle()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """No change is begun during the block."""
        with self._lock:
            yield

    def _make(self, change: _Change, statement: str, parameters: list[object]) -> None:
        """One transaction."""
        with self._lock:
            self._settle()
            self._number += 1
            change.number = self._number
            noted = {"number": change.number, "clients": list(change.clients), "features": change.features}
            self._ledger.write("change", **noted, sent=time.time())
            self._doubtful = change
            with self._session() as cursor:
                cursor.execute(statement, parameters)
            self._doubtful = None
            self._ledger.write("changed", number=change.number, committed=time.time())

    def _settle(self) -> None:
        """The lock waits for the end of the transaction in question: its commit was sent only after its statement."""
        change = self._doubtful
        if change is None:
            return
        with self._session() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'; LOCK TABLE predictq_data.clients IN SHARE MODE")
            cursor.execute(_CLIENTS, [list(change.clients)])
            now = {client: Features(*features) for client, *features in cursor.fetchall()}
        self._doubtful = None
        if all(now.get(client) == features for client, features in zip(change.clients, change.features, strict=True)):
            self._ledger.write("changed", number=change.number, committed=time.time())
        else:
            self._ledger.write("undone", number=change.number)

    @contextlib.contextmanager
    def _session(self) -> Iterator[cursor]:
        session: connection = psycopg2.connect(self._dsn, connect_timeout=3)
        with contextlib.closing(session), session, session.cursor() as cursor:
            yield cursor


@dataclass
class _Change:
    """What these clients become, in their order; None for one that is deleted."""

    clients: Sequence[int]
    features: Sequence[Features | None]
    number: int = 0


_CLIENTS = """
SELECT client_id, age, monthly_income, department, over_time FROM predictq_data.clients WHERE client_id = ANY (%s)
"""
