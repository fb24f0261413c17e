"""The shapes of sources on the wire."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field, StrictBool

from api.schemas.base import Shape
from shared.postgres.source_time_outs import (
    CONNECT,
    DEFAULTS,
    LEAST_CONNECT_SECONDS,
    LEAST_SECONDS,
    LOCK,
    MOST_SECONDS,
    STATEMENT,
)


def _seconds(name: str, description: str) -> Any:
    least = LEAST_CONNECT_SECONDS if name == CONNECT else LEAST_SECONDS
    text = f"{description} Null: {DEFAULTS[name]:g} s."
    return Field(default=None, ge=least, le=MOST_SECONDS[name], description=text)


class KeyColumn(Shape):
    """A column of a key."""

    name: str
    type: str = Field(examples=["text"])


class SourceColumn(Shape):
    """A column that can be a feature or stand in a filter."""

    name: str
    type: str
    nullable: bool
    comment: str | None


class Source(Shape):
    """Where features come from."""

    name: str
    url_variable: str | None = Field(description="The environment variable with its address; null: predictq's own.")
    schema_: str = Field(alias="schema")
    relation: str
    key: list[KeyColumn]
    columns: list[SourceColumn]
    filters: list[SourceColumn]
    settings: dict[str, Any] = Field(description="Its time-outs among them, where they are its own.")
    is_scan: bool = Field(description="Read as a whole: it cannot give a few keys quickly.")
    measured: dict[str, Any]


class SourceList(Shape):
    """Sources by name."""

    sources: list[Source]


class NewSource(Shape):
    """What to add. `key` and `columns` are found out where they are not given."""

    name: str = Field(min_length=1, max_length=100, examples=["policyholders"])
    table: str = Field(min_length=1, max_length=400, examples=["crm.policyholders"])
    key: list[str] = Field(default=[], examples=[["contract_no"]])
    url_variable: str | None = Field(default=None, examples=["CRM_URL"])
    columns: list[str] = Field(default=[], description="Those that can be features; all where none is named.")
    filters: list[str] = Field(default=[], description="Columns that no model needs and a filter may name.")
    timeout_seconds: float | None = _seconds(STATEMENT, "For one reading of a batch of clients.")
    lock_timeout_seconds: float | None = _seconds(LOCK, "For a lock that somebody else holds on it.")
    connect_timeout_seconds: int | None = _seconds(CONNECT, "For a connection to another database.")
    unchecked: StrictBool = Field(
        default=False, description="Take a key of which it takes too long to see that it is unique and never null."
    )
    dry_run: StrictBool = False

    @property
    def time_outs(self) -> dict[str, float]:
        """Those that were given, by the name of the setting."""
        given = {
            STATEMENT: self.timeout_seconds,
            LOCK: self.lock_timeout_seconds,
            CONNECT: self.connect_timeout_seconds,
        }
        return {name: seconds for name, seconds in given.items() if seconds is not None}


class AddedSource(Shape):
    """A source, and what a worker found of it: null fractions, rows, seconds for 10,000 keys, notes, grants."""

    source: Source
    found: dict[str, Any]


class WantedRows(Shape):
    """Which columns are wanted, and how many rows."""

    columns: list[str] = Field(default=[], max_length=2000, description="All that can be features where none is named.")
    rows: int | None = Field(default=None, ge=1, le=1_000_000, description="So many, drawn by `seed`; null: all.")
    seed: int = Field(default=0, ge=0, lt=2**63)


class RowsAsked(Shape):
    """Rows that a worker reads."""

    id: UUID
    links: dict[str, str]
