"""What the reading of an upload must know of a client key: the forms of `shared.sources.keys` have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.sources.errors import KeyRefused

__all__ = ["ClientKey", "KeyColumn", "KeyForm", "KeyRefused"]


class KeyColumn(Protocol):
    """One column of a key."""

    @property
    def name(self) -> str:
        """As the source has it."""

    @property
    def type(self) -> str:
        """PostgreSQL's name of its base type: `bigint`, `text`, …"""


class ClientKey(Protocol):
    """A key that was understood."""

    @property
    def canonical(self) -> str:
        """The one form of this key."""

    @property
    def spelled(self) -> object | None:
        """What the caller wrote, where that is not the key's natural form."""


class KeyForm(Protocol):
    """How the keys of one source are read. All calls raise KeyRefused."""

    @property
    def columns(self) -> Sequence[KeyColumn]:
        """In key order."""

    @property
    def storage(self) -> str:
        """`int8`, `uuid` or `text`."""

    def parse(self, value: object) -> ClientKey:
        """A JSON value; an object of column names where the key has several columns."""

    def parse_text(self, text: str) -> ClientKey:
        """A text of a file."""

    def parse_fields(self, fields: Mapping[str, str]) -> ClientKey:
        """The fields of a file that are the key's columns, by name."""
