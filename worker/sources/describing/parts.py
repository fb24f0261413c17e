"""Parts of a description of a source: columns as JSON, and the features that are read to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.models.signature import FeatureKind, FeatureSpec
from shared.sources.source import SourceColumn
from worker.sources.describing.catalogue import CatalogueColumn

_KINDS = {
    "smallint": FeatureKind.INTEGER,
    "integer": FeatureKind.INTEGER,
    "bigint": FeatureKind.INTEGER,
    "boolean": FeatureKind.BOOLEAN,
    "numeric": FeatureKind.NUMBER,
    "real": FeatureKind.NUMBER,
    "double precision": FeatureKind.NUMBER,
}


def measured_feature(column: SourceColumn) -> FeatureSpec:
    """The column as a feature that may be missing, to see how long it takes to read."""
    return FeatureSpec(column.name, _KINDS.get(column.type, FeatureKind.CATEGORY), nullable=True)


def column_json(column: CatalogueColumn, null_fraction: float | None) -> dict[str, Any]:
    """A column as callers see it; `null_fraction` from 0 to 1, None where nobody looked."""
    return {
        "name": column.name,
        "type": column.type,
        "nullable": column.nullable,
        "comment": column.comment,
        "null_fraction": null_fraction,
    }


def foreign_words(names: Sequence[str]) -> str:
    """What may happen to a source that reads these foreign tables, and what to do: its server takes its own locks."""
    return (
        f"It reads foreign tables ({', '.join(names)}). Where the table behind one is emptied and filled in one "
        "transaction (TRUNCATE, DROP) while a job waits for it, its clients may be missing. Fill it with DELETE and "
        "INSERT, or add the table in its own database as the source."
    )
