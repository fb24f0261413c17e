"""What a duty of the upkeep process is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from sqlalchemy import Engine, text

from shared.postgres.engine import autocommit

Clock = Callable[[], datetime]  # the present moment, with a time zone


class Duty(Protocol):
    """Something that is done again and again, in small transactions that wait for no lock longer than 100 ms."""

    @property
    def name(self) -> str:
        """As `predictq.duties` and the log show it."""

    @property
    def every_seconds(self) -> float:
        """The pause between the beginnings of two runs."""

    def run(self, engine: Engine, clock: Clock) -> str:
        """Do what is due, and say what was done; empty where nothing was. After a PredictqError it is tried again."""


def database_clock(engine: Engine) -> Clock:
    """The clock of the database, the only one that counts."""

    def now() -> datetime:
        with autocommit(engine) as connection:
            moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            return moment

    return now
