"""What has become of a source's columns since a version was registered: kept by each check of the source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.sources.source import Source

Columns = Mapping[str, Sequence[Any]]  # by name: type, and whether it may be null


@dataclass(frozen=True, slots=True)
class Broken:
    """Features that a source cannot feed: it has no such column, or one of another type than at the registration."""

    lacking: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.lacking or self.changed)


def columns_of(source: Source) -> Columns:
    """The columns that can be features, as the last check found them."""
    return {column.name: [column.type, column.nullable] for column in source.columns}


def columns_seen(source: Source) -> list[tuple[str, Columns]]:
    """The columns as they were from when on, oldest first: as the source was added, and after each change since."""
    return [(since, columns) for since, columns in source.measured.get("seen", ())] or [("", columns_of(source))]


def broken_features(names: Iterable[str], registered: datetime, seen: Sequence[tuple[str, Columns]]) -> Broken:
    """Which of the features of a version, registered then, the columns of `seen` cannot feed any more."""
    at = registered.astimezone(UTC).isoformat(timespec="microseconds")
    then = [columns for since, columns in seen if since <= at][-1]
    now = seen[-1][1]
    wanted = tuple(names)
    return Broken(
        tuple(name for name in wanted if name not in now),
        tuple(name for name in wanted if name in now and then.get(name, now[name])[0] != now[name][0]),
    )
