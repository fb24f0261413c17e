"""What the reading of an upload must know of a client key, and the keys that are whole numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

HIGHEST_INTEGER = 2**63 - 1
_LONGEST_SHOWN = 40


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


class KeyRefused(Exception):
    """A value cannot be a key of the source. `detail` goes on after the name of what was wrong."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class _Key:
    canonical: str
    spelled: object | None = None


class IntegerKey:
    """Keys that are whole numbers from 1, in one column of type bigint."""

    storage = "int8"

    def __init__(self, name: str = "client_id") -> None:
        self.columns = (_Column(name, "bigint"),)

    def parse(self, value: object) -> ClientKey:
        """See KeyForm. A number is taken, and nothing else."""
        if type(value) is not int:
            raise KeyRefused(f"{_shown(value)} is not a whole number")
        return self._checked(value, None)

    def parse_text(self, text: str) -> ClientKey:
        """See KeyForm. ASCII digits are taken; zeros before them do not count."""
        if not (text.isascii() and text.isdigit()):
            raise KeyRefused(f"{text[:_LONGEST_SHOWN]!r} is not a whole number")
        if len(text) > _LONGEST_SHOWN:  # int() of a long text is slow
            raise KeyRefused(f"{text[:_LONGEST_SHOWN]}… is not between 1 and {HIGHEST_INTEGER}")
        value = int(text)
        return self._checked(value, None if str(value) == text else text)

    def parse_fields(self, fields: Mapping[str, str]) -> ClientKey:
        """See KeyForm."""
        return self.parse_text(fields[self.columns[0].name])

    @staticmethod
    def _checked(value: int, spelled: object | None) -> ClientKey:
        if not 0 < value <= HIGHEST_INTEGER:
            raise KeyRefused(f"{value} is not between 1 and {HIGHEST_INTEGER}")
        return _Key(str(value), spelled)


def _shown(value: object) -> str:
    """A JSON value as its writer knows it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[: _LONGEST_SHOWN + 2]
