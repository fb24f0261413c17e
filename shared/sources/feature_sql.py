"""What is asked of a column for a feature: an SQL expression, which follows from the column's type and the feature's.

It is the same for a reading by key and for a plan that reads features along with the keys.
"""

from __future__ import annotations

from shared.models.feature import FeatureKind, FeatureSpec
from shared.models.signature import Signature
from shared.sources.source import Source
from shared.sources.sql import quoted

_TEXT = "pg_catalog.text"  # with its schema, as every function is: a search_path may hide them behind others


# 1 or 0. A column that became one of numbers since the source was looked at has its own: as int4 0.7 would be 1.
_NUMBER = (
    "CASE WHEN pg_catalog.pg_typeof({column}) OPERATOR(pg_catalog.=) 'pg_catalog.bool'::pg_catalog.regtype "
    "THEN {column}::pg_catalog.int4::pg_catalog.numeric ELSE {column}::pg_catalog.text::pg_catalog.numeric END"
)


def feature_sql(column: str, kind: str, spec: FeatureSpec) -> str:
    """The expression for a column, itself an expression, of the type `kind`."""
    if spec.kind is FeatureKind.DATETIME:
        return _time(column, kind, has_zone=spec.dtype.endswith("UTC]"))
    if kind == "boolean" and spec.kind is not FeatureKind.BOOLEAN:
        return f"{column}::{_TEXT}" if spec.kind is FeatureKind.CATEGORY else _NUMBER.format(column=column)
    if kind == "numeric" and spec.kind is FeatureKind.INTEGER:
        return f"pg_catalog.trim_scale({column})"
    return column


def _time(column: str, kind: str, *, has_zone: bool) -> str:
    if kind == "timestamptz":
        return column if has_zone else f"({column} AT TIME ZONE 'UTC')"
    if not has_zone:
        return column
    return f"({column}::pg_catalog.timestamp AT TIME ZONE 'UTC')"


def values_in_json(source: Source, signature: Signature) -> dict[str, str]:
    """By feature the expression, of the relation `c`, of what JSON is to have of it: of a category its text."""
    found = {}
    for spec in signature.features:
        column = source.column(spec.name)
        if column is not None:
            expression = feature_sql(f"c.{quoted(column.name)}", column.type, spec)
            # A char(n) is a text to JSON as it is; cast to one it would lose the blanks that a reading by key keeps.
            is_cast = spec.kind is FeatureKind.CATEGORY and column.type != "char"
            found[spec.name] = f"({expression})::{_TEXT}" if is_cast else expression
    return found
