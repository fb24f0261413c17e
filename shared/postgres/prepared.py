"""Statements that are planned once for each connection, where planning them takes longer than carrying them out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg2.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError

# The plan is kept, and the tables that it was made for may have been empty: by indexes alone. Said with each execution,
# because PostgreSQL makes the plan anew by itself, as after an ALTER TABLE.
_SETTINGS = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; "
_MOST = 16  # plans that a connection keeps; each takes some hundred kilobytes of its server process
_KNOWN = "predictq_prepared"  # in what SQLAlchemy keeps for a connection
_PARAMETER = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*')|\$(\d+)""")  # names and texts are left as they are


@dataclass(frozen=True)
class PreparedStatement:
    """A statement with parameters $1, $2, … of these names and types, in order.

    `title` is a word for what it does, which PostgreSQL shows in its name. `settings` are SET LOCAL statements that go
    before it, each with its semicolon.
    """

    title: str
    body: str
    parameters: Mapping[str, str]
    settings: str = ""

    @cached_property
    def name(self) -> str:
        """The same for the same statement, wherever it is made ready."""
        return f"predictq_{self.title}_{hashlib.sha256(self.body.encode()).hexdigest()[:24]}"

    @cached_property
    def preparation(self) -> str:
        """For the driver."""
        types = ", ".join(self.parameters.values())
        return f"{self.settings}PREPARE {self.name} ({types}) AS {self.body}".replace("%", "%%")

    @cached_property
    def execution(self) -> str:
        """For the driver, which is given the parameters by name."""
        values = ", ".join(f"%({name})s::{kind}" for name, kind in self.parameters.items())
        return f"{self.settings}{_SETTINGS}EXECUTE {self.name} ({values})"

    @cached_property
    def plain(self) -> str:
        """The whole statement, for the driver."""
        named = [f"%({name})s::{kind}" for name, kind in self.parameters.items()]
        body = self.body.replace("%", "%%")
        return self.settings + _PARAMETER.sub(lambda found: found[1] or named[int(found[2]) - 1], body)


def run_prepared(connection: Connection, statement: PreparedStatement, values: Mapping[str, Any]) -> CursorResult[Any]:
    """Run it, planned once for this connection, which must be in autocommit.

    Behind a pooler a connection has another server process each time: there it goes as a plain statement.
    """
    # Kept beside the connection to the server, and gone with it.
    known: set[str] | None = connection.info.setdefault(_KNOWN, set())
    if known is None or (statement.name not in known and len(known) >= _MOST):
        return connection.exec_driver_sql(statement.plain, values)
    try:
        if statement.name not in known:
            connection.exec_driver_sql(statement.preparation, {})
            known.add(statement.name)
        return connection.exec_driver_sql(statement.execution, values)
    except DBAPIError as error:
        if not isinstance(error.orig, InvalidSqlStatementName | DuplicatePreparedStatement):
            raise
    connection.info[_KNOWN] = None
    return connection.exec_driver_sql(statement.plain, values)
