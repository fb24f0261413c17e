"""The values that a filter compares a column with: checked against its type, and written as PostgreSQL reads them."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime

from shared.files.flag_words import SHOWN, flag_of
from shared.models.feature import is_finer_than_microseconds, may_be_rounded
from shared.sentences import Sentence
from shared.sources.key_types import CITEXT, INTEGER_RANGES, KEY_TYPES, Unfit

# Types that have an order people mean. Of texts it is that of the database.
ORDERED = frozenset(
    {"smallint", "integer", "bigint", "numeric", "real", "double precision", "date", "timestamp", "timestamptz"}
    | {"text", "varchar", "char"}
)
_DAY = "2026-01-31"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def value_text(kind: str, value: object) -> str:
    """The text of a value for a column of this type. Raises Unfit."""
    if kind in INTEGER_RANGES and isinstance(value, float) and value.is_integer() and not may_be_rounded(value):
        value = int(value)  # 30.0 is a whole number in JSON
    reader = _READERS.get(kind) or KEY_TYPES.get(kind)
    if reader is None:
        raise Unfit(Sentence(f"cannot be compared: its type is {kind}", "not_comparable", type=kind))
    return reader(value)


def _boolean(value: object) -> str:
    found = flag_of(value) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise Unfit(Sentence(f"must be {SHOWN if isinstance(value, str) else 'true or false'}", "not_boolean"))
    return "true" if found else "false"


def _number(value: object) -> str:
    if isinstance(value, str) and len(value) <= 1000 and _NUMBER.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise Unfit(Sentence("must be a finite number such as 3000.5", "not_number"))
    return repr(value)


def _single(number: float) -> float:
    found: float = struct.unpack("f", struct.pack("f", number))[0]
    return found


def _binary(kind: str, nearest: str, largest: str, rounded: Callable[[float], float]) -> Callable[[object], str]:
    """The reader of a binary type: what it would make 0 or infinite is no value for PostgreSQL."""
    text = f"must be 0 or a number from ±{nearest} to ±{largest}, which is what {kind} holds"
    beyond = Sentence(text, "beyond_type", type=kind, nearest=nearest, largest=largest)

    def checked(value: object) -> str:
        number = _number(value)
        try:
            held = rounded(float(number))
        except OverflowError:
            raise Unfit(beyond) from None
        is_zero = not any(digit in "123456789" for digit in number.lower().partition("e")[0])
        if math.isinf(held) or (held == 0) != is_zero:
            raise Unfit(beyond)
        return number

    return checked


def _exact_number(value: object) -> str:
    if may_be_rounded(value):
        raise Unfit(Sentence("must be a string of its digits: beyond ±2⁵³ a number may be rounded", "not_number"))
    return _number(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a double can hold
        return False


def _time(*, has_zone: bool) -> Callable[[object], str]:
    example = "2026-01-31T12:00:00Z" if has_zone else "2026-01-31T12:00:00"

    def text(value: object) -> str:
        try:
            is_exact = isinstance(value, str) and not is_finer_than_microseconds(value)
            found = datetime.fromisoformat(str(value)) if is_exact else None
            if found is not None and found.tzinfo is not None and has_zone:
                found = found.astimezone(UTC)  # PostgreSQL knows no zone that is 16 hours or more from it
        except (ValueError, OverflowError):
            found = None
        if found is None or (found.tzinfo is not None) != has_zone:
            wanted = f"with its time zone, such as {example}" if has_zone else f"such as {example} or {_DAY}"
            raise Unfit(Sentence(f"must be a time {wanted}", "not_a_time", example=example))
        return found.isoformat(sep=" ")

    return text


_READERS: dict[str, Callable[[object], str]] = {
    "boolean": _boolean,
    "numeric": _exact_number,
    "real": _binary("real", "1.4e-45", "3.4028235e38", _single),
    "double precision": _binary("double precision", "4.94e-324", "1.7976931348623157e308", float),
    "enum": KEY_TYPES["text"],
    **dict.fromkeys(CITEXT, KEY_TYPES["text"]),  # PostgreSQL makes both sides small, with the letters of its locale
    "timestamp": _time(has_zone=False),
    "timestamptz": _time(has_zone=True),
}
