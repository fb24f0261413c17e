"""The clients that the torture asks about: ordinary ones, and a few whose age makes the model misbehave."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection

from tests.torture import models

ORDINARY = range(1, 2001)
RAISES, KILLS, HANGS, NAN = 9001, 9002, 9003, 9004
SLOW = range(9100, 9400)
UNKNOWN = 99_999_999  # no such client


@dataclass(frozen=True, slots=True)
class Features:
    """What the model sees of a client."""

    age: int
    monthly_income: int | None
    department: str
    over_time: bool


def fill(dsn: str) -> None:
    """Insert all clients."""
    special = {RAISES: models.RAISES, KILLS: models.KILLS, HANGS: models.HANGS, NAN: models.NAN}
    special.update(dict.fromkeys(SLOW, models.SLOW))
    session: connection = psycopg2.connect(dsn)
    with session, session.cursor() as cursor:
        cursor.execute(
            """INSERT INTO clients (client_id, age, monthly_income, department, over_time)
               SELECT n, 20 + n %% 40, 1000 + n %% 997,
                      CASE WHEN n %% 3 = 0 THEN 'Sales' ELSE 'Research & Development' END, n %% 2 = 0
               FROM generate_series(1, %s) n""",
            [ORDINARY.stop - 1],
        )
        cursor.executemany(
            """INSERT INTO clients (client_id, age, monthly_income, department, over_time)
               VALUES (%s, %s, 5000, 'Sales', false)""",
            list(special.items()),
        )
    session.close()
