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

_IS_NOT_ZERO = re.compile(r"[^1-9eE]*[1-9]")  # a digit before the exponent
# How a value is stored, the most that it can be, and the least beside 0.
_DOUBLES = {"real": ("<f", "3.4028235e38", "1.4e-45"), "double precision": ("<d", "1.7976931348623157e308", "4.9e-324")}


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


def _double(kind: str) -> Callable[[object], str]:
    """PostgreSQL refuses a number that is infinite as one of this type, and one that is 0 though it was not written so.

    Found by a worker, that would fail a job that was accepted.
    """
    form, most, least = _DOUBLES[kind]
    within = Sentence(
        f"must be a number from -{most} to {most}: its type is {kind}", "not_number", minimum=f"-{most}", maximum=most
    )
    near_zero = Sentence(
        f"is too near to 0 for its type, {kind}, whose least is {least}: compare it with 0",
        "too_near_zero",
        least=least,
    )

    def text(value: object) -> str:
        written = _number(value)
        try:
            (stored,) = struct.unpack(form, struct.pack(form, float(written)))
        except OverflowError:
            stored = math.inf
        if math.isinf(stored):
            raise Unfit(within)
        if stored == 0 and _IS_NOT_ZERO.match(written):
            raise Unfit(near_zero)
        return written

    return text


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
            raise Unfit(
                Sentence(f"must be a time {wanted}", "not_a_time" if has_zone else "not_a_date", example=example)
            )
        return found.isoformat(sep=" ")

    return text


_READERS: dict[str, Callable[[object], str]] = {
    "boolean": _boolean,
    "numeric": _exact_number,
    **{kind: _double(kind) for kind in _DOUBLES},
    "enum": KEY_TYPES["text"],
    **dict.fromkeys(CITEXT, KEY_TYPES["text"]),  # PostgreSQL makes both sides small, with the letters of its locale
    "timestamp": _time(has_zone=False),
    "timestamptz": _time(has_zone=True),
}
