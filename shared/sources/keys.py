"""Client keys: from what a caller writes to the canonical form, which depends on the key's type and value alone.

Pages, filters, look-ups and erasure use the canonical form. It must hold when the client has gone from the source, so
no server is asked. What PostgreSQL takes for one value has one form here: 1.10 and 1.1, `{A0EE…}` and `a0ee…`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from shared.sentences import Sentence, retold, sentence_of
from shared.sources.errors import KeyRefused
from shared.sources.key_types import CITEXT, INTEGER_RANGES, KEY_TYPES, MOST_BYTES, Unfit

__all__ = ["ClientKey", "KeyColumn", "KeyForm", "KeyRefused"]


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key, with PostgreSQL's base type name: `integer`, `text`, `uuid` …"""

    name: str
    type: str


class ClientKey(NamedTuple):
    """One client. `spelled` is what the caller wrote where that is not the natural form, else None."""

    canonical: str
    spelled: Any = None

    def __repr__(self) -> str:
        return "ClientKey(…)"  # a key stands in no log


@dataclass(frozen=True)
class KeyForm:
    """How the keys of one source are written. `columns` in key order; their types are among KEY_TYPES."""

    columns: tuple[KeyColumn, ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("a key has at least one column")
        unknown = [column.type for column in self.columns if column.type not in KEY_TYPES]
        if unknown:
            raise ValueError(f"{unknown[0]} is no type of a key; these are: {', '.join(KEY_TYPES)}")

    @cached_property
    def storage(self) -> str:
        """Which array of a page holds the keys: `int8`, `uuid` or `text`."""
        kind = self.columns[0].type
        if self.is_composite:
            return "text"
        return "int8" if kind in INTEGER_RANGES else "uuid" if kind == "uuid" else "text"

    @cached_property
    def is_composite(self) -> bool:
        """Whether the key has more than one column."""
        return len(self.columns) > 1

    def parse(self, value: object) -> ClientKey:
        """The key that a JSON value names: a number, a string, or an object for a composite key. Raises KeyRefused."""
        if self.is_composite:
            return self._composite(value)
        if isinstance(value, dict | list):
            column = self.columns[0].name
            raise KeyRefused(Sentence(f"must be one value: the key is the column {column}", "one_value", column=column))
        return self._single(value)

    def parse_text(self, text: str) -> ClientKey:
        """The key that a field of a file or a command line names. Raises KeyRefused.

        A composite key is JSON there: an object of its columns, or an array in key order.
        """
        if not text:
            raise KeyRefused(Sentence("is empty", "empty_key"))
        if self.is_composite:
            return self._composite(self._from_json(text))
        canonical = self._canonical(self.columns[0], text)
        return ClientKey(canonical, None if canonical == text else text)

    def parse_fields(self, fields: Mapping[str, str]) -> ClientKey:
        """The key whose columns are fields of a file or arguments `COLUMN=VALUE`. Raises KeyRefused."""
        if not self.is_composite and set(fields) == {self.columns[0].name}:
            return self.parse_text(fields[self.columns[0].name])
        self._check_names(fields)
        parts = [self._canonical(column, fields[column.name]) for column in self.columns]
        written = [fields[column.name] for column in self.columns]
        return ClientKey(_array(parts), None if parts == written else dict(fields))

    def natural(self, canonical: str) -> Any:
        """The JSON value of a key: a number for integer columns, else a string; an object for a composite key."""
        if not self.is_composite:
            return int(canonical) if self.storage == "int8" else canonical
        parts = self.parts(canonical)
        return {column.name: _natural(column, part) for column, part in zip(self.columns, parts, strict=True)}

    def parts(self, canonical: str) -> list[str]:
        """The canonical form of each column, in key order."""
        if not self.is_composite:
            return [canonical]
        parts: list[str] = json.loads(canonical)
        return parts

    def join(self, parts: Sequence[str]) -> str:
        """The canonical form of a key from those of its columns, in key order."""
        return _array(parts) if self.is_composite else parts[0]

    @cached_property
    def has_citext(self) -> bool:
        """Whether the source gives a column of the key as it is stored, and not in its canonical form."""
        return any(column.type in CITEXT for column in self.columns)

    def of_source(self, text: str) -> str:
        """The canonical form of a key that a source gave, in which citext is as it is stored. No length is refused."""
        if not self.has_citext:
            return text
        small = [CITEXT.get(column.type, str) for column in self.columns]
        if not self.is_composite:
            return small[0](text)
        return _array_text([make(part) for make, part in zip(small, self.parts(text), strict=True)])

    def _single(self, value: object) -> ClientKey:
        column = self.columns[0]
        canonical = self._canonical(column, value)
        if type(value) is int:
            return ClientKey(canonical, None)
        is_natural = canonical == value and column.type not in INTEGER_RANGES
        return ClientKey(canonical, None if is_natural else value)

    def _composite(self, value: object) -> ClientKey:
        if isinstance(value, list) and len(value) == len(self.columns):
            parts = [self._canonical(column, part) for column, part in zip(self.columns, value, strict=True)]
            canonical = _array(parts)
            natural = [_natural(column, part) for column, part in zip(self.columns, parts, strict=True)]
            return ClientKey(canonical, None if _alike(natural, value) else value)
        if not isinstance(value, dict):
            raise KeyRefused(self._of_columns(f"must be an object with {self._names()}"))
        self._check_names(value)
        parts = [self._canonical(column, value[column.name]) for column in self.columns]
        given = [value[column.name] for column in self.columns]
        natural = [_natural(column, part) for column, part in zip(self.columns, parts, strict=True)]
        return ClientKey(_array(parts), None if _alike(natural, given) else value)

    def _canonical(self, column: KeyColumn, value: object) -> str:
        try:
            return KEY_TYPES[column.type](value)
        except Unfit as error:
            said = sentence_of(error)
            words, about = f"{column.name} {error}", {"name": column.name, "column": column.name}
            detail = retold(said, words, **about) if self.is_composite else said
            raise KeyRefused(detail) from None

    def _check_names(self, fields: Mapping[str, object]) -> None:
        if set(fields) != {column.name for column in self.columns}:
            raise KeyRefused(self._of_columns(f"must have the columns {self._names()}, and no other"))

    def _of_columns(self, text: str) -> Sentence:
        return Sentence(text, "key_columns", columns=[column.name for column in self.columns])

    def _names(self) -> str:
        return ", ".join(column.name for column in self.columns)

    def _from_json(self, text: str) -> object:
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict | list):
            raise KeyRefused(f"must be a JSON object with {self._names()}")
        return value


def _array(parts: Sequence[str]) -> str:
    canonical = _array_text(parts)
    if len(canonical.encode()) > MOST_BYTES:
        raise KeyRefused(f"must be at most {MOST_BYTES:,} bytes in all")
    return canonical


def _array_text(parts: Sequence[str]) -> str:
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _natural(column: KeyColumn, part: str) -> int | str:
    return int(part) if column.type in INTEGER_RANGES else part


def _alike(natural: Sequence[object], given: Sequence[object]) -> bool:
    return all(type(one) is type(other) and one == other for one, other in zip(natural, given, strict=True))
