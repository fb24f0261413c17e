"""Numbers as people write them: with a decimal point or comma, and thousands set apart."""

from __future__ import annotations

import re

POINT, COMMA = ".", ","
_SPACES = " \u00a0\u202f\u2009"  # between thousands: French typography has four of them
_SIGN = r"[+-]?"
_EXPONENT = r"(?:[eE][+-]?[0-9]{1,3})?"


def _style(decimal: str, grouping: str) -> re.Pattern[str]:
    # Nobody sets thousands apart behind a zero: 0.125 and 0,125 are fractions, and tell the decimal mark of their file.
    thousands = rf"[1-9][0-9]{{0,2}}(?:([{grouping}{_SPACES}])[0-9]{{3}})(?:\1[0-9]{{3}})*"
    return re.compile(rf"{_SIGN}(?:[0-9]+|{thousands})?(?:{re.escape(decimal)}[0-9]+)?{_EXPONENT}")


_STYLES = {POINT: _style(POINT, COMMA), COMMA: _style(COMMA, POINT)}
UNITS = ("€", "$", "£", "¥", "%", "EUR", "USD", "GBP", "CHF")  # that may stand beside a number
_BLANKS = " \t\u00a0\u202f\u2009"
_MARKED = re.compile(rf"[-+0-9.,/:'’{_BLANKS}]+")
_ZERO_FIRST = re.compile(r"[+-]?0[0-9]")
_MOST_LENGTH = 60
_TO_DROP = dict.fromkeys(map(ord, _SPACES))


def fits(text: str, decimal: str) -> bool:
    """Whether a text is a number with this decimal mark. One with a zero before it is a code, and no number."""
    return (
        0 < len(text) <= _MOST_LENGTH
        and _STYLES[decimal].fullmatch(text) is not None
        and any(map(str.isdigit, text))
        and not _ZERO_FIRST.match(text)
        and text[0] not in "eE"
    )


def unit_of(text: str) -> str | None:
    """The currency or percent sign at one end of a text; None where there is none."""
    return next((unit for unit in UNITS if text.startswith(unit) != text.endswith(unit)), None)


def without_unit(text: str, unit: str) -> str:
    """A text without the sign that may stand at one of its ends, nor the blanks beside it: `-€5` and `5 €`."""
    sign = text[:1] if text[:1] in ("-", "+") else ""
    rest = text[len(sign) :].strip(_BLANKS)
    bare = rest.removesuffix(unit) if rest.endswith(unit) else rest.removeprefix(unit)
    return sign + bare.strip(_BLANKS)


def looks_like_one(text: str) -> bool:
    """Whether a text is of digits and marks alone, and is no mere code of digits: `31/12/24`, `1 234,50 €`, `12 %`."""
    unit = unit_of(text.lstrip("-+"))
    bare = without_unit(text, unit) if unit else text
    return (
        any(map(str.isdigit, bare))
        and _MARKED.fullmatch(bare) is not None
        and (unit is not None or not bare.strip("-+").isdigit())
    )


def is_ambiguous(text: str) -> bool:
    """Whether a number means one thing with a decimal point and another with a decimal comma: `1,234`, `1.234`."""
    return (
        ("," in text or "." in text)
        and fits(text, POINT)
        and fits(text, COMMA)
        and plain(text, POINT) != plain(text, COMMA)
    )


def plain(text: str, decimal: str) -> str:
    """A number that fits, as PostgreSQL and Python read it."""
    grouping = COMMA if decimal == POINT else POINT
    return text.replace(grouping, "").translate(_TO_DROP).replace(decimal, ".")


def significant_digits(number: str) -> int:
    """How many digits a plain number has, without the zeros before the first other."""
    mantissa = re.split("[eE]", number)[0]
    return len(mantissa.lstrip("+-").replace(".", "").lstrip("0"))
