"""Features as uploads write them, as values that JSON has: texts of CSV, and members of JSON objects.

Only what cannot be a value of the feature's kind is refused here. Whether the model takes the value, and whether it may
be missing, is the worker's to say, row by row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from shared.files.flag_words import SHOWN, flag_of
from shared.models.feature import (
    INT8_MAX,
    INT8_MIN,
    FeatureKind,
    FeatureSpec,
    category_of,
    is_finer_than_microseconds,
    is_storable,
    may_be_rounded,
    shown,
)
from shared.models.signature import Signature
from shared.sentences import Sentence
from shared.uploads.key_lines import BLANKS

_MOST_DIGITS = 40
_INTEGER = re.compile(r"[+-]?[0-9]{1,39}(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MOST_LETTERS = 400  # of a number: reading a longer one is slow
_NOT_OF_INTEGERS = str.maketrans("", "", "0123456789+-")
_NOT_OF_NUMBERS = str.maketrans("", "", "0123456789+-.eE")
_LONGEST_SHOWN = 40


_REASONS = {
    FeatureKind.INTEGER: "not_whole",
    FeatureKind.NUMBER: "not_number",
    FeatureKind.BOOLEAN: "not_boolean",
    FeatureKind.CATEGORY: "not_text",
    FeatureKind.DATETIME: "not_a_time",
}


def reason_of(spec: FeatureSpec) -> str:
    """Why a value is none of a feature, for programs."""
    return (
        "not_a_date" if spec.kind is FeatureKind.DATETIME and not spec.dtype.endswith("UTC]") else _REASONS[spec.kind]
    )


class ValueRefused(Exception):
    """A value that cannot be one of its feature. `detail` is a sentence that begins after "line 7: "."""

    def __init__(self, spec: FeatureSpec, wanted: str, value: object) -> None:
        super().__init__(wanted)
        got = str(value)[:_LONGEST_SHOWN]
        text = f"{shown(spec.name)} must be {wanted}; got {got!r}"
        self.detail = Sentence(text, reason_of(spec), name=spec.name, value=got)


def value_of_text(spec: FeatureSpec, text: str) -> Any:
    """The value of a field of CSV; None where it is empty: that is a missing value. Raises ValueRefused."""
    if spec.kind is FeatureKind.CATEGORY:
        return text or None
    text = text.strip(BLANKS)
    return _BY_KIND[spec.kind](spec, text) if text else None


def values_of_texts(spec: FeatureSpec, texts: Sequence[str]) -> list[Any]:
    """The same for many at once."""
    if spec.kind is FeatureKind.CATEGORY:
        return [text or None for text in texts]
    if (plain := _PLAIN.get(spec.kind)) is not None and (values := plain(texts)) is not None:
        return values
    read = _BY_KIND[spec.kind]
    return [read(spec, stripped) if (stripped := text.strip(BLANKS)) else None for text in texts]


def value_of_json(spec: FeatureSpec, value: Any) -> Any:
    """The value of a member of an object; None is a missing value. Raises ValueRefused."""
    if value is None:
        return None
    if spec.kind is FeatureKind.CATEGORY:
        value = word_of(spec, value)
        if type(value) is not str or not is_storable(value):
            raise ValueRefused(spec, "a string", value)
        return value
    if spec.kind is FeatureKind.BOOLEAN:
        if type(value) is not bool:
            raise ValueRefused(spec, "true or false", value)
        return value
    if spec.kind is FeatureKind.DATETIME:
        return _moment(spec, value)
    if type(value) is int or type(value) is float:
        return _whole(spec, value) if spec.kind is FeatureKind.INTEGER else _finite(spec, value)
    raise ValueRefused(spec, "a whole number" if spec.kind is FeatureKind.INTEGER else "a number", value)


def word_of(spec: FeatureSpec, value: Any) -> Any:
    """The text of a number or flag where the categories were trained on such; any other value as it is.

    The signature has their texts, and a caller writes 2021 as soon as "2021": what is stored and scored is the same.
    2021 and 2021.0 are one category. What is in no list becomes a text, too, to be refused as one.
    """
    if not spec.dtype.startswith("category["):
        return value
    if spec.dtype == "category[bool]":
        return str(value).lower() if type(value) is bool else value
    if type(value) not in (int, float):
        return value
    text = str(int(value)) if value == value // 1 else str(value)
    if text in spec.categories:
        return text
    return next((word for word in spec.categories if category_of(spec.dtype, word) == value), text)


def put_words(signature: Signature, values: dict[str, Any]) -> bool:
    """Make texts of such values in place. Returns whether there were any."""
    words = {spec.name: word_of(spec, values[spec.name]) for spec in signature.features if spec.name in values}
    changed = {name: word for name, word in words.items() if word is not values[name]}
    values.update(changed)
    return bool(changed)


def _plain_integers(texts: Sequence[str]) -> list[Any] | None:
    """The same at C speed; None where a closer look is needed."""
    if "".join(texts).translate(_NOT_OF_INTEGERS) or len(max(texts, key=len)) > _MOST_DIGITS:
        return None
    try:
        values = [int(text) if text else None for text in texts]
    except ValueError:
        return None
    found = [value for value in values if value is not None]
    return values if not found or (min(found) >= INT8_MIN and max(found) <= INT8_MAX) else None


def _plain_numbers(texts: Sequence[str]) -> list[Any] | None:
    if "".join(texts).translate(_NOT_OF_NUMBERS) or len(max(texts, key=len)) > _MOST_LETTERS:
        return None
    try:
        values = [float(text) if text else None for text in texts]
    except ValueError:
        return None
    return values if all(map(math.isfinite, filter(None, values))) else None


def _integer(spec: FeatureSpec, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueRefused(spec, _WANTED[spec.kind], text)
    return _whole(spec, int(text.partition(".")[0]))


def _whole(spec: FeatureSpec, value: float) -> int:
    if type(value) is float and not value.is_integer():
        raise ValueRefused(spec, _WANTED[spec.kind], value)
    if not INT8_MIN <= value <= INT8_MAX:
        raise ValueRefused(spec, "a whole number of 64 bits", value)
    if may_be_rounded(value):
        raise ValueRefused(spec, "a whole number of 64 bits in plain digits, without point or exponent", value)
    return int(value)


def _number(spec: FeatureSpec, text: str) -> float:
    if len(text) > _MOST_LETTERS or not _NUMBER.fullmatch(text):
        raise ValueRefused(spec, _WANTED[spec.kind], text)
    return _finite(spec, float(text))


def _finite(spec: FeatureSpec, value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueRefused(spec, "a number that a double can hold", value)
    return number


def _boolean(spec: FeatureSpec, text: str) -> bool:
    value = flag_of(text)
    if value is None:
        raise ValueRefused(spec, _WANTED[spec.kind], text)
    return value


def _moment(spec: FeatureSpec, value: Any) -> str:
    has_zone = spec.dtype.endswith("UTC]")
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) and value.isascii() else None
    except ValueError:
        found = None
    is_finer = found is not None and is_finer_than_microseconds(value)
    if found is None or is_finer or (found.tzinfo is not None) != has_zone:
        example = "2026-11-26T14:30:00Z" if has_zone else "2026-11-26T14:30:00"
        zone = "with its time zone" if has_zone else "without a time zone"
        exact = ", to the microsecond at most" if is_finer else ""
        raise ValueRefused(spec, f"a time {zone} as ISO 8601 writes it, such as {example}{exact}", value)
    return str(value)


_WANTED = {
    FeatureKind.INTEGER: "a whole number",
    FeatureKind.NUMBER: "a number with a decimal point",
    FeatureKind.BOOLEAN: SHOWN,
}
_BY_KIND: dict[FeatureKind, Callable[[FeatureSpec, str], Any]] = {
    FeatureKind.INTEGER: _integer,
    FeatureKind.NUMBER: _number,
    FeatureKind.BOOLEAN: _boolean,
    FeatureKind.DATETIME: _moment,
}
_PLAIN: dict[FeatureKind, Callable[[Sequence[str]], list[Any] | None]] = {
    FeatureKind.INTEGER: _plain_integers,
    FeatureKind.NUMBER: _plain_numbers,
}
