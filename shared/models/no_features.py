"""Why a column of a source's table is no feature there, and what to type so that it is one."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from shared.sources.source import Source
from shared.sources.sql import quoted, relation

_LONGEST_STEM = 90  # of a source's name, which has 100 characters at most


def no_features(source: Source) -> dict[str, str]:
    """By column, the reason: in the key, for filters alone, left out, or it can be none. Those of `columns` are not."""
    found: dict[str, str] = {}
    for item in source.measured.get("not_features") or ():
        found[item["name"]] = _unfit(source, item["name"], item["type"], item["why"])
    for column in source.filters:
        found.setdefault(column.name, "it is there for filters alone")
    for name in source.measured.get("left_out") or ():
        found.setdefault(name, "it was left out by --column")
    for part in source.key:
        found[part.name] = "it is part of the key, which is no feature by itself"
    for column in source.columns:
        found.pop(column.name, None)
    return found


def adding_command(source: Source, features: Collection[str]) -> str | None:
    """What to type in a shell so that the key, columns for filters and those left out are features, as `features` says.

    It adds another source of the table. None where that would not help. `features` that the table lacks are left out.
    """
    own = {column.name for column in source.columns}
    others = {column.name for column in source.filters} | {part.name for part in source.key}
    others |= set(source.measured.get("left_out") or ())
    others -= own
    if not others & set(features):
        return None
    words = ["predictq", "sources", "add", f"{source.name[:_LONGEST_STEM]}-features", "--table", _typed_table(source)]
    if source.url_variable is not None:
        words += ["--url-env", source.url_variable]
    for part in source.key:
        words += ["--key", part.name]
    for name in features:
        if name in own | others:
            words += ["--column", name]
    for column in source.filters:
        if column.name not in features:
            words += ["--filter", column.name]
    return shlex.join(words)


def _unfit(source: Source, name: str, kind: str, why: str) -> str:
    if "may not read" in why:
        return (
            f"the worker may not read it: GRANT SELECT ({quoted(name)}) ON {_table(source)} to its role, then predictq "
            f"sources check {source.name}"
        )
    return f"it is of the type {kind}, and no feature can be: make a view that casts it, and add that as a source"


def _table(source: Source) -> str:
    return f"{source.schema}.{source.relation}"


def _typed_table(source: Source) -> str:
    """As `sources add` takes it: names as they are, in quotes only where a dot would part them elsewhere."""
    return relation(source) if "." in source.schema + source.relation else _table(source)
