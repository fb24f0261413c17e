"""The sample's table as a source, for tests that need clients and not a table of their own."""

from __future__ import annotations

from sqlalchemy import Connection

from examples.hr_attrition.features import FEATURES, KEY
from examples.hr_attrition.load import SCHEMA, make_table
from shared.models.signature import FeatureKind
from shared.sources.source import KeyColumn, Source, SourceColumn, add_source, list_sources

_TYPES = {
    FeatureKind.INTEGER: "integer",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}


def create_clients_table(connection: Connection) -> None:
    """Make the table and its source `clients`, where they are not there yet."""
    make_table(connection)
    if any(source.name == "clients" for source in list_sources(connection)):
        return
    columns = tuple(SourceColumn(spec.name, _TYPES[spec.kind]) for spec in FEATURES)
    key = (KeyColumn(KEY, "bigint"),)
    add_source(connection, Source(0, "clients", None, SCHEMA, "clients", key, columns, settings={"is_indexed": True}))
