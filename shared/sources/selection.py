"""Which clients a filter selects: its condition in SQL, checked before anything is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import FilterRefused
from shared.models.signature import FeatureKind, FeatureSpec, check_value, find_feature
from shared.sources.clients import CLIENTS
from shared.sources.sample_features import CLIENT_FEATURES


def check_filter(where: Mapping[str, Any]) -> None:
    """Raise FilterRefused where a filter names no such column, or a value of the wrong type."""
    for name, value in where.items():
        spec = find_feature(CLIENT_FEATURES, name)
        if spec is None:
            raise FilterRefused(name, f"clients have no feature {name!r}")
        for item in _values(value):
            problem = None if item is None else check_value(spec, item)
            if problem is not None:
                raise FilterRefused(name, problem.detail)


def selection_query(where: Mapping[str, Any], *, after: str | None) -> tuple[str, dict[str, Any]]:
    """The query for the keys, in key order and greater than `after`, of all clients whose columns equal `where`.

    Each column equals its value, or one of its values when that is a list. Returns SQL for the driver and its
    parameters. Raises FilterRefused.
    """
    check_filter(where)
    parameters: dict[str, Any] = {}
    conditions = ["true"]
    for number, (name, value) in enumerate(where.items()):
        spec = find_feature(CLIENT_FEATURES, name)
        if spec is None:
            raise FilterRefused(name, f"clients have no feature {name!r}")
        conditions.append(_condition(spec, _values(value), f"value{number}", parameters))
    if after is not None:
        parameters["after"] = int(after)
        conditions.append("c.client_id > %(after)s")
    query = f"SELECT c.client_id FROM {CLIENTS} c WHERE {' AND '.join(conditions)} ORDER BY c.client_id"
    return query, parameters


def _condition(spec: FeatureSpec, values: list[Any], parameter: str, parameters: dict[str, Any]) -> str:
    given = [int(item) if spec.kind is FeatureKind.INTEGER else item for item in values if item is not None]
    parameters[parameter] = given
    kind = {"integer": "bigint", "number": "float8", "boolean": "boolean", "category": "text"}[spec.kind]
    condition = f"c.{spec.name} = ANY (%({parameter})s::{kind}[])"
    return f"({condition} OR c.{spec.name} IS NULL)" if None in values else condition


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
