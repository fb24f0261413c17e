"""The key of one client of a source, in the form in which pages hold it. Its text stays out of every repr."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from shared.erasure.errors import ClientKeyRefused
from shared.pages.key_hash import hash_key, hash_keys
from shared.sources.errors import SourceUnknown

MOST_BYTES = 1000
_INT8 = range(-(2**63) + 1, 2**63)  # the lowest stands for a row that names no client
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,19}\s*", re.ASCII)

ClientId = int | str | dict[str, int | str]  # as a caller writes it


@dataclass(frozen=True, slots=True)
class KeySource:
    """What the keys of a source look like."""

    id: int
    name: str
    storage: str  # int8, uuid or text: which array of a page holds them
    columns: tuple[str, ...]  # in key order
    relation: tuple[str, str]  # schema and name
    is_here: bool  # in predictq's own database


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One client of a source. `value` is an int for integer columns, else the canonical text."""

    source: KeySource
    value: int | str = field(repr=False)

    @property
    def text(self) -> str:
        """The canonical form."""
        return str(self.value)

    @property
    def column(self) -> str:
        """The array of a page of requests that holds the key."""
        return f"keys_{self.source.storage}"

    @property
    def sql_type(self) -> str:
        """The type of that array's elements."""
        return {"int8": "bigint", "uuid": "uuid", "text": "text"}[self.source.storage]

    def hash(self, secret: bytes) -> int:
        """The keyed hash by which pages are found; `secret` is the installation's."""
        return hash_key(hash_keys(secret, self.source.id), self.value)


_SOURCE = """
SELECT id, name, key_storage, key_columns, relation_schema, relation_name, url_variable IS NULL AS is_here
FROM predictq.sources
"""


def read_source(connection: Connection, name: str) -> KeySource:
    """The source of this name, removed ones included: their pages stay. Raises SourceUnknown."""
    row = connection.execute(text(f"{_SOURCE} WHERE name = :name"), {"name": name}).one_or_none()
    if row is None:
        raise SourceUnknown(name)
    return _source(row)


def source_by_id(connection: Connection, source_id: int) -> KeySource:
    """The source of this number."""
    return _source(connection.execute(text(f"{_SOURCE} WHERE id = :id"), {"id": source_id}).one())


def _source(row: Any) -> KeySource:
    columns = tuple(column["name"] if isinstance(column, dict) else str(column) for column in row.key_columns)
    return KeySource(row.id, row.name, row.key_storage, columns, (row.relation_schema, row.relation_name), row.is_here)


def client_key(source: KeySource, given: object) -> ClientKey:
    """The key that a caller wrote as `given`. Raises ClientKeyRefused, whose text does not repeat it."""
    if len(source.columns) > 1:
        return ClientKey(source, _composite(source, given))
    if isinstance(given, dict):
        raise ClientKeyRefused(f"must be one value: the key of {source.name} is one column")
    value: int | str = _READ[source.storage](given)
    return ClientKey(source, value)


def stored_key(source: KeySource, canonical: str) -> ClientKey:
    """The key of a canonical text that is stored with us."""
    return ClientKey(source, int(canonical) if source.storage == "int8" else canonical)


def _whole(given: object) -> int:
    if isinstance(given, str) and _WHOLE.fullmatch(given):
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given not in _INT8:
        raise ClientKeyRefused("must be a whole number of at most 64 bits, or its digits as a string")
    return given


def _uuid(given: object) -> str:
    try:
        return str(UUID(_text(given)))
    except ValueError:
        raise ClientKeyRefused("must be a UUID") from None


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ClientKeyRefused("must be a string")
    try:
        encoded = given.encode()
    except UnicodeEncodeError:
        raise ClientKeyRefused("holds half a character (a lone surrogate)") from None
    if b"\x00" in encoded or len(encoded) > MOST_BYTES:
        raise ClientKeyRefused(f"must be at most {MOST_BYTES:,} bytes, without the character NUL")
    return given


def _composite(source: KeySource, given: object) -> str:
    if not isinstance(given, dict) or set(given) != set(source.columns):
        raise ClientKeyRefused(f"must be an object with {', '.join(source.columns)}")
    parts = [str(part) if type(part := given[name]) is int else _text(part) for name in source.columns]
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


_READ: dict[str, Callable[[object], int | str]] = {"int8": _whole, "uuid": _uuid, "text": _text}
