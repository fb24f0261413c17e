"""What a worker found of a table: as a source that can be stored, and how many of its rows make a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from shared.sources.source import KeyColumn, Source, SourceColumn

PAGE_BYTES = 8_000_000  # of features in a page, which a worker opens as a whole
CHOSEN_COLUMNS = "chosen_columns"  # a setting of a source: those that were named; absent where all are its columns
_MEASURED = (
    *("kind", "rows", "is_exact", "seconds", "is_indexed", "notes", "not_features", "left_out"),
    *("row_bytes", "column_bytes", "labels"),
)


def source_from(
    name: str,
    url_variable: str | None,
    found: Mapping[str, Any],
    *,
    chosen: Sequence[str] = (),
    time_outs: Mapping[str, float] = MappingProxyType({}),
) -> Source:
    """The source that `describe_source` described: `found` is that errand's result. Its `id` is 0 until it is added.

    `chosen` are the columns that were named for it: then later checks add no other to them. `time_outs` are its own, in
    seconds by name.
    """
    return Source(
        id=0,
        name=name,
        url_variable=url_variable,
        schema=found["schema"],
        relation=found["relation"],
        key=tuple(KeyColumn(item["name"], item["type"]) for item in found["key"]),
        columns=tuple(_column(item) for item in found["columns"]),
        filters=tuple(_column(item) for item in found["filters"]),
        settings={"is_indexed": found["is_indexed"], **time_outs} | ({CHOSEN_COLUMNS: list(chosen)} if chosen else {}),
        is_scan=found["is_scan"],
        measured={item: found[item] for item in _MEASURED if item in found} | {"null_fractions": _fractions(found)},
    )


def _column(item: Mapping[str, Any]) -> SourceColumn:
    return SourceColumn(item["name"], item["type"], item["nullable"], item["comment"])


def _fractions(found: Mapping[str, Any]) -> dict[str, float]:
    return {item["name"]: item["null_fraction"] for item in found["columns"] if item["null_fraction"] is not None}


def rows_of_a_page(source: Source | None, features: Iterable[str], *, most: int) -> int:
    """How many rows with these features make a page of some 8 MB, at most `most`; that where nobody measured."""
    widths = {} if source is None else source.measured.get("column_bytes") or {}
    width = sum(widths.get(name, 0) for name in features)
    return max(1, min(most, int(PAGE_BYTES / width))) if width else most
