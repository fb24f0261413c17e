"""The sources that are known: their relation, the columns of their key and of their features."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, text

from shared.sources.column import SourceColumn
from shared.sources.errors import SourceExists, SourceInUse, SourceRefused, SourceUnknown
from shared.sources.keys import KeyColumn, KeyForm

__all__ = [
    "KeyColumn",
    "Source",
    "SourceColumn",
    "add_source",
    "get_source",
    "list_sources",
    "read_source",
    "remove_source",
    "sources_of",
    "update_source",
]

_NAME = re.compile(r"[^\W\d_][^\x00-\x1f\x7f]{0,99}")


@dataclass(frozen=True)
class Source:
    """A relation with its key. `url_variable` names the environment variable with its address; None: our database.

    `columns` can be features, `filters` are the names of further ones that may stand in a filter. `settings` are
    time-outs in seconds by name, `measured` what the last check found. `is_scan`: it cannot give a few keys quickly.
    """

    id: int
    name: str
    url_variable: str | None
    schema: str
    relation: str
    key: tuple[KeyColumn, ...]
    columns: tuple[SourceColumn, ...] = ()
    filters: tuple[SourceColumn, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    is_scan: bool = False
    measured: Mapping[str, Any] = field(default_factory=dict, hash=False)
    is_removed: bool = False
    is_away: bool = False  # it did not answer when it was asked last
    is_given_up: bool = False  # and that for too long: its rows end in an error
    is_refusing: bool = False  # a right, the relation or a column was gone when it was read last

    @cached_property
    def key_form(self) -> KeyForm:
        """How the keys are written."""
        return KeyForm(self.key)

    def column(self, name: str) -> SourceColumn | None:
        """The column of this name that can be a feature, or None."""
        return next((column for column in self.columns if column.name == name), None)


_SOURCES = """
SELECT id, name, url_variable, relation_schema, relation_name, key_columns, columns, filters, settings, is_scan,
       measured, removed_at IS NOT NULL AS is_removed, away_since IS NOT NULL AS is_away, is_given_up,
       refused_since IS NOT NULL AS is_refusing
FROM predictq.sources
"""


def read_source(connection: Connection, name: str, *, tells_others: bool = False) -> Source:
    """The source of this name. Raises SourceUnknown, also of a removed one, with `tells_others` naming the others."""
    row = connection.execute(
        text(f"{_SOURCES} WHERE name = :name AND removed_at IS NULL"), {"name": name}
    ).one_or_none()
    if row is None and tells_others:
        raise SourceUnknown(name, [source.name for source in list_sources(connection)])
    return _only(row, name)


def get_source(connection: Connection, source_id: int) -> Source:
    """The source of this number, a removed one too: its pages stay. Raises SourceUnknown."""
    row = connection.execute(text(f"{_SOURCES} WHERE id = :id"), {"id": source_id})
    return _only(row.one_or_none(), source_id)


def list_sources(connection: Connection) -> list[Source]:
    """The sources that were not removed, by name."""
    return [_source(row) for row in connection.execute(text(f"{_SOURCES} WHERE removed_at IS NULL ORDER BY name"))]


def add_source(connection: Connection, source: Source) -> Source:
    """Store a source, whatever its `id`; returns it with its own. One that was removed comes back, if its keys fit.

    Raises SourceExists, SourceRefused.
    """
    _check(source)
    row = connection.execute(_INSERT, _parameters(source)).one_or_none()
    if row is None:
        row = connection.execute(_REVIVE, _parameters(source)).one_or_none()
    if row is None:
        gone = connection.execute(_IS_REMOVED, {"name": source.name}).scalar_one()
        raise SourceExists(source.name, removed=bool(gone))
    return replace(source, id=int(row.id), is_removed=False)


def update_source(connection: Connection, source: Source) -> None:
    """Store what a check has found: columns, filters, settings, figures. Name, relation and key stay as they are."""
    connection.execute(_UPDATE, _parameters(source) | {"id": source.id})


def remove_source(connection: Connection, name: str) -> Source:
    """Take a source out of use; its pages stay readable. Raises SourceUnknown, SourceInUse."""
    source = read_source(connection, name)
    if models := live_models(connection, source.id):
        raise SourceInUse(name, models)
    connection.execute(text("UPDATE predictq.sources SET removed_at = now() WHERE id = :id"), {"id": source.id})
    return replace(source, is_removed=True)


def live_models(connection: Connection, source_id: int) -> list[str]:
    """The models of which a version of this source is live."""
    return list(connection.execute(_LIVE_MODELS, {"id": source_id}).scalars())


def sources_of(connection: Connection, models: Collection[str]) -> set[str]:
    """The names of the sources that any version of these models reads, of removed ones too."""
    return set(connection.execute(_SOURCES_OF, {"models": list(models)}).scalars())


def _only(row: Any, name: object) -> Source:
    if row is None:
        raise SourceUnknown(name)
    return _source(row)


def _source(row: Any) -> Source:
    return Source(
        id=row.id,
        name=row.name,
        url_variable=row.url_variable,
        schema=row.relation_schema,
        relation=row.relation_name,
        key=tuple(KeyColumn(item["name"], item["type"]) for item in row.key_columns),
        columns=tuple(SourceColumn(**item) for item in row.columns),
        filters=tuple(SourceColumn(**item) for item in row.filters),
        settings=row.settings,
        is_scan=row.is_scan,
        measured=row.measured,
        is_removed=row.is_removed,
        is_away=row.is_away,
        is_given_up=row.is_given_up,
        is_refusing=row.is_refusing,
    )


def _check(source: Source) -> None:
    if not _NAME.fullmatch(source.name):
        raise SourceRefused("The name of a source begins with a letter and has at most 100 characters.")
    try:
        names = [column.name for column in source.key_form.columns]
    except ValueError as error:
        raise SourceRefused(f"The key of {source.name!r}: {error}.") from None
    if len(set(names)) < len(names):
        raise SourceRefused(f"The key of {source.name!r} names a column twice.")


def _parameters(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "variable": source.url_variable,
        "schema": source.schema,
        "relation": source.relation,
        "key": json.dumps([asdict(column) for column in source.key]),
        "storage": source.key_form.storage,
        "columns": json.dumps([asdict(column) for column in source.columns]),
        "filters": json.dumps([asdict(column) for column in source.filters]),
        "settings": json.dumps(dict(source.settings)),
        "measured": json.dumps(dict(source.measured)),
        "is_scan": source.is_scan,
    }


_INSERT = text("""
INSERT INTO predictq.sources (name, url_variable, relation_schema, relation_name, key_columns, key_storage, columns,
                              filters, settings, measured, is_scan)
VALUES (:name, :variable, :schema, :relation, CAST(:key AS jsonb), :storage, CAST(:columns AS jsonb),
        CAST(:filters AS jsonb), CAST(:settings AS jsonb), CAST(:measured AS jsonb), :is_scan)
ON CONFLICT (name) DO NOTHING RETURNING id
""")

# Pages name a source by its number and hold keys in its form: another form would need another number.
_REVIVE = text("""
UPDATE predictq.sources SET url_variable = :variable, relation_schema = :schema, relation_name = :relation,
    columns = CAST(:columns AS jsonb), filters = CAST(:filters AS jsonb), settings = CAST(:settings AS jsonb),
    measured = CAST(:measured AS jsonb), is_scan = :is_scan, removed_at = NULL, refused_since = NULL
WHERE name = :name AND removed_at IS NOT NULL AND key_columns = CAST(:key AS jsonb) AND key_storage = :storage
RETURNING id
""")

_UPDATE = text("""
UPDATE predictq.sources SET columns = CAST(:columns AS jsonb), filters = CAST(:filters AS jsonb),
    settings = CAST(:settings AS jsonb), measured = CAST(:measured AS jsonb), is_scan = :is_scan, refused_since = NULL
WHERE id = :id
""")

_IS_REMOVED = text("SELECT removed_at IS NOT NULL FROM predictq.sources WHERE name = :name")

_SOURCES_OF = text("""
SELECT name FROM predictq.sources WHERE id IN (
    SELECT source_id FROM predictq.model_versions WHERE model = ANY (CAST(:models AS text[]))
    UNION SELECT source_id FROM predictq.models WHERE name = ANY (CAST(:models AS text[])))
""")
_LIVE_MODELS = text("""
SELECT v.model FROM predictq.models m JOIN predictq.model_versions v ON v.id = m.live_version_id
WHERE v.source_id = :id ORDER BY v.model
""")
