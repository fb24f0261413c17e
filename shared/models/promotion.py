"""What must hold before a version becomes live."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.errors import ModelRefused
from shared.models.registry import ModelVersion
from shared.models.source_changes import Broken, broken_features, columns_seen
from shared.sentences import count_of
from shared.sources.source import get_source

_MOST_NAMES = 10  # that an error lists


def check_promotion(connection: Connection, version: ModelVersion, *, is_forced: bool = False) -> None:
    """Raise ModelRefused where the source of a version cannot feed it, naming what lacks.

    A feature that its source does not have would be null in each row: all clients would get one answer. `is_forced`:
    then only a source that was removed is a reason, for no caller can name it.
    """
    if version.source_id is None:
        return
    source = get_source(connection, version.source_id)
    if source.is_removed:
        raise ModelRefused(
            f"{version.label} reads the source {source.name}, which was removed. Add it again with predictq sources "
            f"add {source.name}, the same table and key; or register the file for another source."
        )
    broken = broken_features(version.signature.names, version.created_at, columns_seen(source))
    if is_forced or not broken:
        return
    raise ModelRefused(
        f"{version.label} {_what(source.name, broken)}. Mend the table and run predictq sources check {source.name}, "
        "or promote with --force and a reason."
    )


def _what(source: str, broken: Broken) -> str:
    found = []
    if broken.lacking:
        features = count_of(len(broken.lacking), "feature")
        found.append(f"needs {features} that the source {source} does not have: {_some(broken.lacking)}")
    if broken.changed:
        found.append(f"was registered when {_some(broken.changed)} of the source {source} had another type")
    return " and ".join(found)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
