"""A connection to a database that is not predictq's own. Its address stands in an environment variable, not with us."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812 - the driver's own name is lower case

from shared.logging import get_logger
from shared.postgres.source_time_outs import CONNECT, LEAST_CONNECT_SECONDS, time_out
from shared.sources.source import Source
from worker.sources.failures import SourceAway

log = get_logger(__name__)

_IDLE_SECONDS = 5.0  # after which a connection is asked whether it is still there
ENV_FILE_VARIABLE = "PREDICTQ_ENV_FILE"  # the stack's .env, which is read anew at each connection

# A dead peer is noticed within seconds. No parallel plans and no compiled ones, as for our own tables.
_KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_SCHEMES = ("postgresql+psycopg2://", "postgresql+psycopg://", "postgresql://", "postgres://")

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_told: set[Path] = set()  # files of which this process has said that others may read them


class Remote:
    """At most one connection, kept while it works. Raises SourceAway where the address is not known or refused."""

    def __init__(self, variable: str, *, environment: Mapping[str, str] = os.environ) -> None:
        self._variable = variable
        self._environment = environment
        self._driver: PsycopgConnection | None = None
        self._used_at = 0.0

    @contextmanager
    def connected(self, source: Source) -> Iterator[PsycopgConnection]:
        """The connection, in autocommit. One that failed is closed, and the next use makes another."""
        driver = self._driver
        if driver is None or not self._is_alive(driver):
            self.close()
            driver = self._driver = self._connect(source)
        try:
            yield driver
        except BaseException:
            self.close()
            raise
        self._used_at = time.monotonic()

    def _is_alive(self, driver: PsycopgConnection) -> bool:
        """Whether a kept connection still works: one that lay idle is asked, for a server may have ended it."""
        if driver.closed:
            return False
        if time.monotonic() - self._used_at < _IDLE_SECONDS:
            return True
        try:
            with driver.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            return False
        return True

    def close(self) -> None:
        """Give the connection back."""
        driver, self._driver = self._driver, None
        if driver is not None:
            with contextlib.suppress(psycopg2.Error):
                driver.close()

    def _connect(self, source: Source) -> PsycopgConnection:
        address = find_address(self._variable, self._environment)
        if address is None:
            raise SourceAway(
                f"The source {source.name} is in a database whose address this worker does not know: "
                f"{self._how_to_name_it()}"
            )
        seconds = int(time_out(source.settings, CONNECT))
        driver: PsycopgConnection = psycopg2.connect(
            address,
            connect_timeout=max(LEAST_CONNECT_SECONDS, seconds),
            client_encoding="UTF8",
            application_name="predictq",
            options="-c default_transaction_read_only=on -c jit=off -c max_parallel_workers_per_gather=0",
            **_KEEPALIVES,
        )
        driver.autocommit = True
        return driver

    def _how_to_name_it(self) -> str:
        """What to do for want of the address; a file is read at each connection, an environment at the start alone."""
        file = self._environment.get(ENV_FILE_VARIABLE)
        if file:
            return (
                f"write a line {self._variable}=postgresql://USER:PASSWORD@HOST/DATABASE into {file}, which is read at "
                "each connection."
            )
        return f"set the environment variable {self._variable} for it, and start it again."


def find_address(variable: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The address in an environment variable, else in the file that PREDICTQ_ENV_FILE names; as libpq takes it."""
    address = environment.get(variable)
    if not address and environment.get(ENV_FILE_VARIABLE):
        address = _in_file(Path(environment[ENV_FILE_VARIABLE]), variable)
    if not address:
        return None
    scheme = next((scheme for scheme in _SCHEMES if address.startswith(scheme)), None)
    return address if scheme is None else "postgresql://" + address.removeprefix(scheme)


def _in_file(path: Path, variable: str) -> str | None:
    """The value of a line `VARIABLE=value`, with or without quotes around it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        mode = path.stat().st_mode
    except OSError:
        return None
    if mode & _OTHERS and path not in _told:
        _told.add(path)
        log.warning("others may read a file of passwords: chmod 600", file=str(path), mode=f"{mode & 0o777:o}")
    for line in lines:
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and name.strip() == variable:
            value = value.strip()
            return value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] else value
    return None
