"""Why a column of a source's table is no feature there, and what to type so that it is one."""

from __future__ import annotations

from shared.sources.source import Source
from shared.sources.sql import quoted


def no_features(source: Source) -> dict[str, str]:
    """By column, the reason: in the key, for filters alone, left out, or it can be none. Those of `columns` are not."""
    add = (
        "add a source of the table with --column for each feature, this one too: predictq sources add NAME --table "
        f"{_table(source)}"
    )
    found: dict[str, str] = {}
    for item in source.measured.get("not_features") or ():
        found[item["name"]] = _unfit(source, item["name"], item["type"], item["why"])
    for column in source.filters:
        found.setdefault(column.name, f"it is there for filters alone: {add}")
    for name in source.measured.get("left_out") or ():
        found.setdefault(name, f"it was left out by --column: {add}")
    for part in source.key:
        found[part.name] = f"it is part of the key, which is no feature by itself: {add}"
    for column in source.columns:
        found.pop(column.name, None)
    return found


def _unfit(source: Source, name: str, kind: str, why: str) -> str:
    if "may not read" in why:
        return (
            f"the worker may not read it: GRANT SELECT ({quoted(name)}) ON {_table(source)} to its role, then predictq "
            f"sources check {source.name}"
        )
    return f"it is of the type {kind}, and no feature can be: make a view that casts it, and add that as a source"


def _table(source: Source) -> str:
    return f"{source.schema}.{source.relation}"
