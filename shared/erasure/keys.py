"""The key of one client of a source, in the form in which pages hold it. Its text stays out of every repr."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from shared.erasure.errors import ClientKeyRefused
from shared.pages.key_hash import hash_key, hash_keys
from shared.sources.errors import KeyRefused, SourceNotNamed, SourceUnknown
from shared.sources.keys import KeyColumn, KeyForm
from shared.sources.references import REFERENCES
from shared.sources.source import sources_of

ClientId = int | str | dict[str, int | str]  # as a caller writes it


@dataclass(frozen=True, slots=True)
class KeySource:
    """What the keys of a source look like; NO_SOURCE stands for models that have none."""

    id: int | None
    name: str | None
    storage: str  # int8, uuid or text: which array of a page holds them
    columns: tuple[str, ...]  # in key order
    types: tuple[str, ...]  # of the columns

    @property
    def form(self) -> KeyForm:
        """How the keys are written."""
        return REFERENCES if self.id is None else KeyForm(tuple(map(KeyColumn, self.columns, self.types)))


# What callers name rows by whose features they bring, for models without a source.
NO_SOURCE = KeySource(None, None, "text", tuple(column.name for column in REFERENCES.columns), types=("text",))


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
    def place(self) -> str:
        """Where she is a client, in words."""
        return "no source" if self.source.name is None else f"source {self.source.name}"

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


_SOURCE = "SELECT id, name, key_storage, key_columns, removed_at IS NOT NULL AS is_removed FROM predictq.sources"


def read_source(
    connection: Connection, name: str | None, *, no_source: bool = False, models: Collection[str] | None = None
) -> KeySource:
    """The source of this name, removed ones included: their pages stay. No name: the only source that is in use.

    With `no_source` that of models which have none. With `models` all sources that no version of them reads are as if
    they were not there. Raises SourceUnknown or SourceNotNamed.
    """
    if no_source:
        return NO_SOURCE
    known = None if models is None else sources_of(connection, models)
    if name is None:
        found = [row for row in connection.execute(text(_SOURCE)) if known is None or row.name in known]
        rows = sorted([row for row in found if not row.is_removed] or found, key=lambda row: row.name)
        if len(rows) != 1:
            raise SourceNotNamed([row.name for row in rows])
        return _source(rows[0])
    row = connection.execute(text(f"{_SOURCE} WHERE name = :name"), {"name": name}).one_or_none()
    if row is None or (known is not None and name not in known):
        raise SourceUnknown(name)
    return _source(row)


def list_key_sources(connection: Connection) -> list[KeySource]:
    """All sources that there are or were."""
    return [_source(row) for row in connection.execute(text(f"{_SOURCE} ORDER BY id"))]


def source_by_id(connection: Connection, source_id: int | None) -> KeySource:
    """The source of this number; None is NO_SOURCE."""
    if source_id is None:
        return NO_SOURCE
    return _source(connection.execute(text(f"{_SOURCE} WHERE id = :id"), {"id": source_id}).one())


def _source(row: Any) -> KeySource:
    columns = tuple(column["name"] for column in row.key_columns)
    types = tuple(column["type"] for column in row.key_columns)
    return KeySource(row.id, row.name, row.key_storage, columns, types)


def client_key(source: KeySource, given: object) -> ClientKey:
    """The key that a caller wrote as `given`. Raises ClientKeyRefused, whose text does not repeat it."""
    try:
        return stored_key(source, source.form.parse(given).canonical)
    except KeyRefused as error:
        raise ClientKeyRefused(error.detail) from None


def stored_key(source: KeySource, canonical: str) -> ClientKey:
    """The key of a canonical text that is stored with us."""
    return ClientKey(source, int(canonical) if source.storage == "int8" else canonical)
