"""Cells that have a type of their own, out of Excel, Parquet and Arrow: as values of features, and as client keys.

A value is taken only where nothing of it is lost: a text `007` stays one, a whole number that a double cannot hold is
refused where the model takes a double.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shared.models.feature import (
    EXACT_INTEGER,
    INT8_MAX,
    INT8_MIN,
    FeatureKind,
    FeatureSpec,
    is_storable,
    may_be_rounded,
)
from shared.sources.errors import KeyRefused
from shared.uploads.feature_values import ValueRefused, value_of_text, word_of


def value_of_cell(spec: FeatureSpec, cell: Any) -> Any:
    """The value of a cell as JSON has it; None where it is empty: that is a missing value. Raises ValueRefused."""
    if cell is None or (type(cell) is float and math.isnan(cell)):
        return None
    if isinstance(cell, str):
        if not is_storable(cell):
            raise ValueRefused(spec, "a text without NUL", cell)
        return cell if spec.kind is FeatureKind.CATEGORY else _of_text(spec, cell)
    return _BY_KIND[spec.kind](spec, cell)


def _of_text(spec: FeatureSpec, text: str) -> Any:
    """The value of a text where the feature is none. Raises ValueRefused: a cell has no decimal mark to speak of."""
    try:
        return value_of_text(spec, text)
    except ValueRefused as refused:
        if spec.kind is not FeatureKind.NUMBER:
            raise
        raise ValueRefused(spec, "a number", text) from refused


def key_text(cell: Any, *, keeps_blanks: bool = False) -> str:
    """A cell that is a client's key, as a file of text would have it; empty where there is none. Raises KeyRefused.

    `keeps_blanks`: a text stays as it is; otherwise without the blanks around it.
    """
    if cell is None or (type(cell) is float and math.isnan(cell)):
        return ""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal | date):
        raise KeyRefused("must be a text, a whole number or a date")
    if isinstance(cell, float):
        if not cell.is_integer() or may_be_rounded(cell):
            raise KeyRefused("is a number with a fraction, or one of more digits than the file keeps: make it a text")
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ") if cell.time() != datetime.min.time() else cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return str(cell) if keeps_blanks else str(cell).strip(" \t")


def _integer(spec: FeatureSpec, cell: Any) -> int:
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal) or cell != cell // 1:
        raise ValueRefused(spec, "a whole number", cell)
    if not INT8_MIN <= cell <= INT8_MAX:
        raise ValueRefused(spec, "a whole number of 64 bits", cell)
    if may_be_rounded(cell):
        raise ValueRefused(spec, "a whole number; this one has more digits than the file keeps: make it a text", cell)
    return int(cell)


def _number(spec: FeatureSpec, cell: Any) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        raise ValueRefused(spec, "a number", cell)
    number = float(cell)
    if not math.isfinite(number):
        raise ValueRefused(spec, "a number that a double can hold", cell)
    if isinstance(cell, int) and int(number) != cell:
        raise ValueRefused(spec, "a number that a double holds exactly", cell)
    return number


def _boolean(spec: FeatureSpec, cell: Any) -> bool:
    if cell in (True, False):  # and so are 1 and 0
        return bool(cell)
    raise ValueRefused(spec, "true or false", cell)


def _category(spec: FeatureSpec, cell: Any) -> str:
    word = word_of(spec, cell)
    if isinstance(word, str):
        return word
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    if is_number and cell == cell // 1 and abs(cell) < EXACT_INTEGER:
        return str(int(cell))
    raise ValueRefused(spec, "a text", cell)


def _moment(spec: FeatureSpec, cell: Any) -> str:
    has_zone = spec.dtype.endswith("UTC]")
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime.combine(cell, datetime.min.time())
    if not isinstance(cell, datetime) or (cell.tzinfo is not None) != has_zone or getattr(cell, "nanosecond", None):
        wanted = "a date and time with its time zone" if has_zone else "a date, or a date and time without a time zone"
        raise ValueRefused(spec, f"{wanted}, to the microsecond at most", cell)
    return cell.isoformat()


_BY_KIND: dict[FeatureKind, Callable[[FeatureSpec, Any], Any]] = {
    FeatureKind.INTEGER: _integer,
    FeatureKind.NUMBER: _number,
    FeatureKind.BOOLEAN: _boolean,
    FeatureKind.CATEGORY: _category,
    FeatureKind.DATETIME: _moment,
}
