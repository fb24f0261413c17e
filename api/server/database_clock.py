"""The time by PostgreSQL's clock, told without asking it each time."""

from __future__ import annotations

import time

from sqlalchemy import Connection, text

_NOW = text("SELECT extract(epoch FROM clock_timestamp())::double precision")


class DatabaseClock:
    """How far PostgreSQL's clock is from this process's monotonic one, which nobody sets. May be read in any thread."""

    def __init__(self) -> None:
        self._distance: float | None = None  # seconds

    @property
    def is_known(self) -> bool:
        """Whether PostgreSQL was asked yet."""
        return self._distance is not None

    def read(self, connection: Connection) -> None:
        """Ask PostgreSQL. What it says is right to half the time that it took to answer."""
        asked = time.monotonic()
        seconds: float = connection.execute(_NOW).scalar_one()
        self._distance = seconds - (asked + time.monotonic()) / 2

    def now(self) -> float:
        """Seconds since 1970. Raises RuntimeError where it is not known."""
        if self._distance is None:
            raise RuntimeError("the database's clock was not read yet")
        return time.monotonic() + self._distance
