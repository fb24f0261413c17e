"""Model versions as calls show them: with the name of their source and who made them live."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from api.schemas import models as schemas
from shared.models.promotion_history import last_promoters
from shared.models.registry import ModelVersion


def version_shape(connection: Connection, version: ModelVersion) -> schemas.ModelVersion:
    """A version as JSON has it."""
    (shape,) = version_shapes(connection, [version])
    return shape


def version_shapes(connection: Connection, versions: Sequence[ModelVersion]) -> list[schemas.ModelVersion]:
    """The same of several, with two questions for all of them."""
    named = connection.execute(_SOURCE_NAMES, {"ids": [version.source_id for version in versions]})
    sources: dict[int | None, str] = {row.id: row.name for row in named}
    promoters = last_promoters(connection, [version.id for version in versions])
    names = [name for name in schemas.ModelVersion.model_fields if name not in ("source", "promoted_by")]
    return [
        schemas.ModelVersion.model_validate(
            {
                **{name: getattr(version, name) for name in names},
                "source": sources.get(version.source_id),
                "promoted_by": promoters.get(version.id),
            },
            from_attributes=True,
        )
        for version in versions
    ]


_SOURCE_NAMES = text("SELECT id, name FROM predictq.sources WHERE id = ANY (CAST(:ids AS integer[]))")
