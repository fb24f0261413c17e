"""What a person says of features: what is left out of it and a column of the source tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.signature.infer import KINDS, Column, time_dtype
from shared.models.feature import FeatureKind


def with_kinds_of_columns(said: Any, columns: Sequence[Column] | None) -> Any:
    """A signature in JSON with the kind of each feature that says none, where the source has a column of its name.

    A time gets the dtype of its column as well, unless it says one. What is no signature is left as it is: whoever
    reads it says what is wrong.
    """
    if not isinstance(said, Mapping) or not isinstance(said.get("features"), list):
        return said
    known = {column.name: column for column in columns or ()}
    return {**said, "features": [_with_kind(item, known) for item in said["features"]]}


def _with_kind(item: Any, known: Mapping[str, Column]) -> Any:
    if not isinstance(item, Mapping) or item.get("kind") is not None or not isinstance(item.get("name"), str):
        return item
    column = known.get(item["name"])
    kind = None if column is None else KINDS.get(column.type)
    if column is None or kind is None:
        return item
    if kind is FeatureKind.DATETIME and item.get("dtype") is None:
        return {**item, "kind": kind.value, "dtype": time_dtype(column.type)}
    return {**item, "kind": kind.value}
