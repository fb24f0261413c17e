"""What must hold before a version becomes live."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.errors import ModelRefused
from shared.models.registry import ModelVersion
from shared.sources.source import get_source

_MOST_NAMES = 10  # that an error lists


def check_promotion(connection: Connection, version: ModelVersion) -> None:
    """Raise ModelRefused where the source of a version cannot feed it, naming what lacks.

    A feature that its source does not have would be null in each row: all clients would get one answer.
    """
    if version.source_id is None:
        return
    source = get_source(connection, version.source_id)
    known = {column.name for column in source.columns}
    missing = [name for name in version.signature.names if name not in known]
    if missing:
        named = ", ".join(missing[:_MOST_NAMES]) + (" …" if len(missing) > _MOST_NAMES else "")
        raise ModelRefused(
            f"{version.label} needs {len(missing)} features that the source {source.name} does not have: {named}. "
            f"Add the columns and run predictq sources check {source.name}, or promote with --force and a reason."
        )
