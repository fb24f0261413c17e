"""Which clients of a source a filter selects: its condition in SQL, checked before anything is accepted.

A filter names key columns, columns that can be features, and those that were named for filters when the source was
added: no others, for what can be compared can be found out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from shared.errors import FilterRefused
from shared.sentences import Sentence, retold, sentence_of
from shared.sources.filter_values import ORDERED, value_text
from shared.sources.key_types import CITEXT, Unfit
from shared.sources.near_names import nearest
from shared.sources.source import Source
from shared.sources.sql import LOWEST_BIGINT, SQL_TYPES, key_sql, quoted, relation

_MOST_COLUMNS = 20  # that a refusal names
_MOST_LABELS = 20
_RANGES = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}

# As literals that mean the same whatever standard_conforming_strings says.
_AND = "OPERATOR(pg_catalog.||)"
_BACKSLASH, _BACKSLASHES, _QUOTE, _QUOTED = r"E'\\'", r"E'\\\\'", "'\"'", r"""E'\\"'"""


def check_filter(where: Mapping[str, Any], source: Source) -> None:
    """Raise FilterRefused where a filter names what the source does not have, or compares it with what it is not."""
    conditions(where, source)


def conditions(where: Mapping[str, Any], source: Source) -> tuple[list[str], dict[str, Any]]:
    """SQL conditions on the relation `c`, and their parameters for the driver. Raises FilterRefused.

    Each column equals its value, or one of a list, or lies within a range: `{"gte": 30, "lt": 40}`. null is a value.
    """
    kinds = _comparable(source)
    labels = source.measured.get("labels") or {}
    parameters: dict[str, Any] = {"yes": True}  # the driver reads %% as % only where there is a parameter
    found = ["%(yes)s"]
    for number, (name, value) in enumerate(where.items()):
        kind = kinds.get(name)
        if kind is None:
            text = _no_such_column(name, source.name, kinds)
            raise FilterRefused(name, Sentence(text, "no_filter_column", source=source.name, name=name[:100]))
        try:
            if isinstance(value, dict):
                found.append(_range(name, kind, value, f"value{number}", parameters))
            else:
                found.append(_equality(name, kind, value, f"value{number}", parameters))
                _check_labels(value, labels.get(name))
        except Unfit as error:
            raise FilterRefused(name, retold(sentence_of(error), f"{name} {error}", name=name[:100])) from None
    return found, parameters


def _no_such_column(name: str, source: str, known: Iterable[str]) -> str:
    """With the column that may be meant, else with those that there are."""
    columns = list(known)
    near = nearest(name[:100], columns)
    shown = ", ".join(columns[:_MOST_COLUMNS]) + (", …" if len(columns) > _MOST_COLUMNS else "")
    ways = f"there is {near!r}" if near is not None else f"there are {shown}"
    return f"the source {source} has no column {name[:100]!r} that can be filtered by; {ways}"


def selection_query(
    source: Source,
    where: Mapping[str, Any],
    *,
    after: str | None,
    citext_schema: str | None = None,
    strange: str = "",
    features: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, dict[str, Any]]:
    """The query for the keys, in key order and greater than `after`, of the clients that `where` selects, {} for all.

    One column: the key as PostgreSQL writes it as an element of an array, citext as it is stored: KeyForm.of_source
    makes it canonical. With `features`, which are SQL expressions of the relation `c` by name, a second one: their
    values as a JSON object, as an element of an array of texts; false in its place where a citext of the key holds one
    of the `strange` letters. `after` is a canonical key.
    Returns SQL for the driver and its parameters. Raises FilterRefused.
    """
    found, parameters = _of_clients(where, source)
    key = key_sql(source.key, citext_schema, strange)
    columns = [_for_driver(column) for column in key.columns]
    if after is not None:
        places = []
        for number, (part, kind) in enumerate(zip(source.key_form.parts(after), key.types, strict=True)):
            parameters[f"after{number}"] = part
            places.append(f"%(after{number})s::{_for_driver(kind)}")
        found.append(_after(columns, list(map(_for_driver, key.equals)), places))
    given = f", {_for_driver(_given(features, key.settled))}" if features else ""
    query = (
        f"SELECT {_for_driver(_element(source, key.texts))}{given} FROM {_for_driver(relation(source))} c "
        f"WHERE {' AND '.join(found)} ORDER BY {', '.join(columns)}"
    )
    return query, parameters


def _after(columns: Sequence[str], equals: Sequence[str], places: Sequence[str]) -> str:
    """The condition that a key lies behind a place in key order, with the operators of each column's own type.

    Rows are compared by one operator for all columns. Of citext it is in another schema: found by a search_path, or not
    found and taken for that of texts, by which capitals come before small letters.
    """
    above = [operator.replace(".=)", ".>)") for operator in equals]
    if len(set(above)) == 1:
        return f"({', '.join(columns)}) {above[0]} ({', '.join(places)})"
    ways = []
    for last in range(len(columns)):
        same = [f"{columns[n]} {equals[n]} {places[n]}" for n in range(last)]
        ways.append(" AND ".join([*same, f"{columns[last]} {above[last]} {places[last]}"]))
    return f"(({') OR ('.join(ways)}))"


def count_query(source: Source, where: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The query that counts the clients that `where` selects. Raises FilterRefused."""
    found, parameters = _of_clients(where, source)
    return f"SELECT pg_catalog.count(*) FROM {_for_driver(relation(source))} c WHERE {' AND '.join(found)}", parameters


def _of_clients(where: Mapping[str, Any], source: Source) -> tuple[list[str], dict[str, Any]]:
    """The conditions of rows that a job has: those that `where` selects, and that have a key. Raises FilterRefused."""
    found, parameters = conditions(where, source)
    for column in source.key:
        name = _for_driver(f"c.{quoted(column.name)}")
        found.append(f"{name} IS NOT NULL")
        if column.type == "bigint":
            found.append(f"{name} OPERATOR(pg_catalog.<>) {LOWEST_BIGINT}")
    return found, parameters


def first_keys_query(
    source: Source, where: Mapping[str, Any], *, most: int, citext_schema: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The query for the first `most` keys, in key order, of the clients that `where` selects. Raises FilterRefused.

    Each part of a key is a column, citext as it is stored.
    """
    found, parameters = _of_clients(where, source)
    key = key_sql(source.key, citext_schema)
    columns = [_for_driver(column) for column in key.columns]
    texts = ", ".join(f"({_for_driver(part)})::pg_catalog.text" for part in key.texts)
    query = (
        f"SELECT {texts} FROM {_for_driver(relation(source))} c "
        f"WHERE {' AND '.join(found)} ORDER BY {', '.join(columns)} LIMIT {int(most)}"
    )
    return query, parameters


def _for_driver(sql: str) -> str:
    """SQL without parameters, for a statement that has some."""
    return sql.replace("%", "%%")


def _comparable(source: Source) -> dict[str, str]:
    """The types of the columns that a filter may name."""
    kinds = {column.name: column.type for column in (*source.filters, *source.columns)}
    return kinds | {column.name: column.type for column in source.key}


def _equality(name: str, kind: str, value: Any, parameter: str, parameters: dict[str, Any]) -> str:
    values = value if isinstance(value, list) else [value]
    column, cast = _sides(name, kind)
    parameters[parameter] = [value_text(kind, item) for item in values if item is not None]
    if kind in CITEXT:
        given = f"pg_catalog.unnest(%({parameter})s::{cast}[]) AS word"
        condition = f"{column} IN (SELECT pg_catalog.lower(word) FROM {given})"
    else:
        condition = f"{column} OPERATOR(pg_catalog.=) ANY (%({parameter})s::{cast}[])"
    return f"({condition} OR {column} IS NULL)" if None in values else f"({condition})"


def _check_labels(value: Any, labels: Sequence[str] | None) -> None:
    """Raise Unfit for a word that is no label of an enum, as the last look at the source found them."""
    wanted = {item for item in (value if isinstance(value, list) else [value]) if item is not None}
    if not labels or wanted <= set(labels):
        return
    shown = ", ".join(labels[:_MOST_LABELS]) + (", …" if len(labels) > _MOST_LABELS else "")
    text = f"must be one of {shown}; a label that is new counts after predictq sources check"
    raise Unfit(Sentence(text, "not_of_list", values=list(labels[:_MOST_LABELS])))


def _range(name: str, kind: str, value: Mapping[str, Any], parameter: str, parameters: dict[str, Any]) -> str:
    if not value or not set(value) <= set(_RANGES):
        raise Unfit(f"must be compared with a value, a list, or a range of {', '.join(_RANGES)}")
    if kind not in ORDERED:
        text = f"has no order, for its type is {kind}: compare it with a value or a list"
        raise Unfit(Sentence(text, "no_order", type=kind))
    column, cast = _sides(name, kind)
    found = []
    for place, limit in value.items():
        parameters[f"{parameter}_{place}"] = value_text(kind, limit)
        found.append(f"{column} OPERATOR(pg_catalog.{_RANGES[place]}) %({parameter}_{place})s::{cast}")
    return f"({' AND '.join(found)})"


def _sides(name: str, kind: str) -> tuple[str, str]:
    """The column as it is compared, and the type of what it is compared with: that of the column.

    As a double, 0.64 would equal no real.
    """
    column = _for_driver(f"c.{quoted(name)}")
    if kind in CITEXT:  # its own operator is in some schema or other
        return f"pg_catalog.lower({column}::pg_catalog.text)", "pg_catalog.text"
    if kind == "enum":  # a label that has gone since the last look at the source is no error
        return f"{column}::pg_catalog.text", "pg_catalog.text"
    return column, SQL_TYPES[kind]


def _element(source: Source, texts: tuple[str, ...]) -> str:
    """The key as an element of an array: as it is, or in quotes."""
    if source.key_form.storage != "text":
        return texts[0]
    parts = [f"({text})::pg_catalog.text" for text in texts]
    whole = parts[0]
    if len(parts) > 1:
        members = [f"pg_catalog.to_json({part})::pg_catalog.text" for part in parts]
        whole = _joined(["'['", f" {_AND} ',' {_AND} ".join(members), "']'"])
    return _quoted_element(whole)


def _quoted_element(text: str) -> str:
    """An SQL text as an element of an array."""
    escaped = f"pg_catalog.replace(pg_catalog.replace({text}, {_BACKSLASH}, {_BACKSLASHES}), {_QUOTE}, {_QUOTED})"
    return _joined([_QUOTE, escaped, _QUOTE])


def _given(features: Mapping[str, str], settled: str) -> str:
    found = _quoted_element(_object(features))
    return f"CASE WHEN {settled} THEN {found} ELSE '\"false\"' END" if settled else found


def _object(features: Mapping[str, str]) -> str:
    """An SQL text: a JSON object of values. PostgreSQL writes numbers with all their digits, and NaN as a string."""
    members = []
    for name, expression in features.items():
        label = json.dumps(name).replace("\\", "\\\\").replace("'", "''")
        value = f"coalesce(pg_catalog.to_json({expression})::pg_catalog.text, 'null')"
        members.append(f"E'{label}:' {_AND} {value}")
    return _joined(["'{'", f" {_AND} ',' {_AND} ".join(members), "'}'"])


def _joined(texts: Sequence[str]) -> str:
    return f" {_AND} ".join(texts)
