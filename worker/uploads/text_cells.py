"""Numbers and days that are texts in a file whose cells have types, as an export into Excel often writes them.

How they are written is not guessed, as it is of CSV: a caller says it, and is told so where it would help.
"""

from __future__ import annotations

from typing import Any

from shared.files import moments, numbers
from shared.files.column_types import Dress, Misfit, read_value
from shared.models.feature import FeatureKind, FeatureSpec
from shared.sentences import Sentence
from shared.uploads.cell_values import value_of_cell
from shared.uploads.feature_values import ValueRefused, value_of_text

ORDERS = {"dmy": moments.DAY_FIRST, "mdy": moments.MONTH_FIRST}
_TYPES = {
    FeatureKind.INTEGER: "bigint",
    FeatureKind.NUMBER: "double precision",
    FeatureKind.BOOLEAN: "boolean",
    FeatureKind.CATEGORY: "text",
}
_NUMBERS = (FeatureKind.INTEGER, FeatureKind.NUMBER)
_OTHER_NUMBERS = (Dress(decimal=numbers.COMMA),)
_OTHER_DAYS = (Dress(order=moments.DAY_FIRST), Dress(order=moments.MONTH_FIRST))


def column_type(spec: FeatureSpec) -> str:
    """As what a text of a file is read for a feature."""
    if spec.kind is FeatureKind.DATETIME:
        return "timestamptz" if spec.dtype.endswith("UTC]") else "timestamp"
    return _TYPES[spec.kind]


def value_of_text_cell(spec: FeatureSpec, text: str, decimal: str | None, dates: str | None) -> Any:
    """The value of a text as JSON has it; None where it is empty. `decimal` and `dates` are those of TableOrder.

    Raises ValueRefused and Misfit; the latter with what to say of the file where that would make a value of the text.
    """
    is_said = (decimal and spec.kind in _NUMBERS) or (dates and spec.kind is FeatureKind.DATETIME)
    dress = Dress(decimal or numbers.POINT, ORDERS.get(dates or "", moments.ISO))
    if is_said and (read := read_value(text, column_type(spec), dress)):
        return value_of_text(spec, read)
    try:
        return value_of_cell(spec, text)
    except ValueRefused:
        if not is_said and (hint := _hint(spec, text)):
            raise hint from None
        raise


def _hint(spec: FeatureSpec, text: str) -> Misfit | None:
    """What would help; None where nothing that a caller can say does."""
    told = f"the cell is the text {text[:80]!r}"
    if spec.kind in _NUMBERS and any(_reads(spec, text, dress) for dress in _OTHER_NUMBERS):
        said = f"{told}: say its decimal mark with `decimal`, or make it a number"
        return Misfit(Sentence(said, "text_for_number", value=text[:80]))
    if spec.kind is FeatureKind.DATETIME and any(_reads(spec, text, dress) for dress in _OTHER_DAYS):
        said = f"{told}: say with `dates` whether days come first (dmy) or months (mdy), or make it a date"
        return Misfit(Sentence(said, "text_for_date", value=text[:80]))
    return None


def _reads(spec: FeatureSpec, text: str, dress: Dress) -> bool:
    try:
        return bool(read_value(text, column_type(spec), dress))
    except Misfit:
        return False
