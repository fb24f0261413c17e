"""How the column of a source becomes a feature: what SQL asks for, as what the text is parsed, and what is made of it.

The text of PostgreSQL is what is parsed. `real` is read as the double nearest to its shortest text, as training reads
it, and a numeric as the double nearest to its decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from shared.models.signature import FeatureSpec, Signature
from shared.sources.source import Source
from shared.sources.sql import quoted

INTEGERS = frozenset({"smallint", "integer", "bigint"})
FLOATS = frozenset({"real", "double precision"})
TEXTS = frozenset({"text", "varchar", "char", "citext", "enum", "uuid"})
TIMES = frozenset({"date", "timestamp", "timestamptz"})
FEATURE_TYPES = INTEGERS | FLOATS | TEXTS | TIMES | {"numeric", "boolean"}

_WORDS = pa.dictionary(pa.int32(), pa.string())
_FINAL = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "category": _WORDS}


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One feature's way out of the source. `parsed` is the Arrow type of its text, `final` that of the feature."""

    name: str  # of the feature, for people
    expression: str  # SQL, of the relation `c`
    parsed: pa.DataType
    final: pa.DataType
    is_there: bool = True  # whether the source has such a column


def final_type(spec: FeatureSpec) -> pa.DataType:
    """The type in which a feature travels through the worker."""
    if spec.kind.value == "datetime":
        return pa.timestamp("us", "UTC") if _has_zone(spec) else pa.timestamp("us")
    return _FINAL[spec.kind.value]


@dataclass(frozen=True, slots=True, eq=False)
class ReadingPlan:
    """How the features of a signature are read from a source, in signature order."""

    columns: tuple[ColumnPlan, ...]
    names: list[str]
    is_plain: bool  # whether every column is parsed as what it is
    lacking: str | None  # the first feature that the source has no column for


@lru_cache(maxsize=32)
def plan_columns(source: Source, signature: Signature) -> ReadingPlan:
    """The way of each feature. One that the source does not have is null."""
    plans = []
    for spec in signature.features:
        column = source.column(spec.name)
        if column is None:
            plans.append(ColumnPlan(spec.name, "NULL", final_type(spec), final_type(spec), is_there=False))
            continue
        expression, parsed = _reading(f"c.{quoted(column.name)}", column.type, spec)
        plans.append(ColumnPlan(spec.name, expression, parsed, final_type(spec)))
    lacking = next((plan.name for plan in plans if not plan.is_there), None)
    is_plain = all(plan.parsed == plan.final for plan in plans)
    return ReadingPlan(tuple(plans), list(signature.names), is_plain, lacking)


def _reading(column: str, kind: str, spec: FeatureSpec) -> tuple[str, pa.DataType]:
    """The SQL expression, and the type of its text."""
    final = final_type(spec)
    if spec.kind.value == "datetime":
        return _time(column, kind, has_zone=_has_zone(spec)), final
    if kind == "boolean" and spec.kind.value != "boolean":
        return (f"{column}::text", _WORDS) if spec.kind.value == "category" else (f"{column}::integer", final)
    if spec.kind.value == "integer":
        if kind == "numeric":
            return f"trim_scale({column})", final
        return column, pa.float64() if kind in FLOATS else final  # a double of 1e15 is written 1e+15
    if spec.kind.value == "boolean" and kind != "boolean":
        return column, pa.float64()
    return column, final


def _time(column: str, kind: str, *, has_zone: bool) -> str:
    if kind == "timestamptz":
        return column if has_zone else f"({column} AT TIME ZONE 'UTC')"
    if not has_zone:
        return column
    return f"({column}::timestamp AT TIME ZONE 'UTC')"


def _has_zone(spec: FeatureSpec) -> bool:
    return str(getattr(spec, "dtype", "")).endswith("UTC]")
