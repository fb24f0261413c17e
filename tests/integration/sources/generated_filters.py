"""Filters of any form on a made table, with the same condition written by hand in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from tests.integration.sources.generated_models import FLOATS, INTEGERS, TIMES, value
from tests.integration.sources.generated_oracle import Case
from tests.integration.sources.generated_tables import KEYS, quoted


def make_filter(case: Case, comparisons: list[tuple[float, str, int]]) -> tuple[dict[str, Any], list[str], list[Any]]:
    """The filter as JSON, and the same as conditions in SQL with their values."""
    r = case.table.random
    columns = [(name, kind, KEYS[kind][0]) for name, kind in case.table.key]
    columns += [(c.name, c.type.base, c.type.sql) for c in case.table.columns]
    where: dict[str, Any] = {}
    conditions, values = ["%s"], [True]
    for share, how, which in comparisons:
        name, kind, sql = columns[int(share * len(columns))]
        if name in where:
            continue
        texts = _texts(case, name, kind)
        sql, column = sql.replace("%", "%%"), quoted(name).replace("%", "%%")
        if how == "null" or not texts:
            where[name] = None
            conditions.append(f"{column} IS NULL")
            continue
        chosen = [texts[(which + n * 7) % len(texts)] for n in range(3)]
        is_ordered = kind in (*INTEGERS, *FLOATS, *TIMES)
        if how in ("range", "below") and is_ordered:
            limits = {"gte": chosen[0], "lt": chosen[1]} if how == "range" else {"lte": chosen[0]}
            where[name] = {sign: _json(kind, limit, r) for sign, limit in limits.items()}
            signs = {"gte": ">=", "lt": "<", "lte": "<="}
            conditions += [f"{column} {signs[sign]} %s::{sql}" for sign in limits]
            values += list(limits.values())
        else:
            wanted = chosen if how == "list" else chosen[:1]
            listed: list[Any] = [_json(kind, each, r) for each in wanted]
            where[name] = listed if how == "list" else listed[0]
            condition = f"{column} = ANY (%s::{sql}[])"
            if how == "list" and which % 2:
                listed.append(None)
                condition = f"({condition} OR {column} IS NULL)"
            conditions.append(condition)
            values.append(wanted)
    return where, conditions, values


def _texts(case: Case, name: str, kind: str) -> list[str]:
    """The values of a column that a filter can name."""
    place = next((n for n, (key, _) in enumerate(case.table.key) if key == name), None)
    texts = case.rows[name] if place is None else [parts[place] for parts in case.keys]
    known = sorted({each for each in texts if each is not None})
    return [each for each in known if not (kind in (*FLOATS, *TIMES) and _is_odd(kind, each))]


def _is_odd(kind: str, cell: str) -> bool:
    found = value(kind, cell)
    return found is None or (kind in FLOATS and not np.isfinite(found))


def _json(kind: str, cell: str, r: Any) -> Any:
    if kind in INTEGERS:
        return int(cell)
    if kind == "boolean":
        return cell == "true"
    if kind == "double precision":
        return r.choice([cell, float(cell)])
    if kind in ("timestamp", "timestamptz"):
        return r.choice([cell, datetime.fromisoformat(cell).isoformat()])
    if kind == "citext":
        return r.choice([cell, cell.swapcase()]) if cell.isascii() else cell
    return cell
