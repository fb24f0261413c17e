"""How the column of a source becomes a feature: what SQL asks for, as what the text is parsed, and what is made of it.

The text of PostgreSQL is what is parsed. `real` is read as the double nearest to its shortest text, as training reads
it, and a numeric as the double nearest to its decimals.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.feature_sql import feature_sql
from shared.sources.source import Source
from shared.sources.sql import quoted
from worker.sources.arrow_types import arrow_type

INTEGERS = frozenset({"smallint", "integer", "bigint"})
FLOATS = frozenset({"real", "double precision"})
TEXTS = frozenset({"text", "varchar", "char", "citext", "enum", "uuid"})
TIMES = frozenset({"date", "timestamp", "timestamptz"})
FEATURE_TYPES = INTEGERS | FLOATS | TEXTS | TIMES | {"numeric", "boolean"}

_WORDS = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One feature's way out of the source. `parsed` is the Arrow type of its text, `final` that of the feature."""

    name: str  # of the feature, for people
    expression: str  # SQL, of the relation `c`
    parsed: pa.DataType
    final: pa.DataType
    is_there: bool = True  # whether the source has such a column


@dataclass(frozen=True, slots=True, eq=False)
class ReadingPlan:
    """How the features of a signature are read from a source, in signature order."""

    columns: tuple[ColumnPlan, ...]
    names: list[str]
    select: str  # the expressions, each after a comma
    is_plain: bool  # whether every column is parsed as what it is
    lacking: str | None  # the first feature that the source has no column for


_MOST_PLANS = 64
_plans: dict[tuple[int, int], tuple[Source, Signature, ReadingPlan]] = {}


def plan_columns(source: Source, signature: Signature) -> ReadingPlan:
    """The way of each feature. One that the source does not have is null.

    Kept for these very objects: to hash them takes longer than to read a client.
    """
    found = _plans.get((id(source), id(signature)))
    if found is None or found[0] is not source or found[1] is not signature:
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        found = _plans[id(source), id(signature)] = (source, signature, _plan(source, signature))
    return found[2]


def _plan(source: Source, signature: Signature) -> ReadingPlan:
    plans = []
    for spec in signature.features:
        column = source.column(spec.name)
        if column is None:
            plans.append(ColumnPlan(spec.name, "NULL", arrow_type(spec), arrow_type(spec), is_there=False))
            continue
        expression = feature_sql(f"c.{quoted(column.name)}", column.type, spec)
        plans.append(ColumnPlan(spec.name, expression, _parsed(column.type, spec), arrow_type(spec)))
    lacking = next((plan.name for plan in plans if not plan.is_there), None)
    is_plain = all(plan.parsed == plan.final for plan in plans)
    select = "".join(f", {plan.expression}" for plan in plans)
    return ReadingPlan(tuple(plans), list(signature.names), select, is_plain, lacking)


def _parsed(kind: str, spec: FeatureSpec) -> pa.DataType:
    """As what the text of `feature_sql` is parsed."""
    if kind == "boolean" and spec.kind is FeatureKind.CATEGORY:
        return _WORDS
    if spec.kind is FeatureKind.INTEGER and kind in FLOATS:
        return pa.float64()  # a double of 1e15 is written 1e+15
    if spec.kind is FeatureKind.BOOLEAN and kind != "boolean":
        return pa.float64()
    return arrow_type(spec)
