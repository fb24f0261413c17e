"""The canonical form of one value of each type that a key column may have, as PostgreSQL would print it."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from string import ascii_lowercase, ascii_uppercase

from shared.sentences import Sentence

MOST_BYTES = 1_000

# The lowest bigint stands for a row that names no client.
INTEGER_RANGES = {
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63) + 1, 2**63 - 1),
}

_BLANKS = " \t"  # around a number: PostgreSQL would skip line ends, too, but they hide a lost quote
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
_UUID = re.compile(r"([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}")
_DATE = re.compile(r"([0-9]{4,7})-([0-9]{2})-([0-9]{2})( BC)?")
_SHORT_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})()")
_NO_NUMBERS = {
    "nan": "NaN",
    "inf": "Infinity",
    "+inf": "Infinity",
    "-inf": "-Infinity",
    "infinity": "Infinity",
    "+infinity": "Infinity",
    "-infinity": "-Infinity",
}
_FIRST_DAY = (-4713, 11, 24)  # 4714-11-24 BC, counted with a year 0
_LAST_YEAR = 5_874_897


class Unfit(ValueError):
    """Why a value is none of the type; the text goes on after the name of what was given, and does not repeat it."""


def _integer(kind: str) -> Callable[[object], str]:
    least, most = INTEGER_RANGES[kind]
    text = f"must be a whole number from {least} to {most}, or its digits as a string"
    wanted = Sentence(text, "not_whole", minimum=least, maximum=most)

    def canonical(value: object) -> str:
        if type(value) is not int:
            if not isinstance(value, str) or len(value) > MOST_BYTES:
                raise Unfit(wanted)
            digits = value.strip(_BLANKS)
            if not _WHOLE.fullmatch(digits):
                raise Unfit(wanted)
            value = int(digits)
        if not least <= value <= most:
            raise Unfit(wanted)
        return str(value)

    return canonical


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit(Sentence("must be a string", "not_text"))
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Unfit("holds half a character (a lone surrogate)") from None
    if size > MOST_BYTES:
        raise Unfit(Sentence(f"must be at most {MOST_BYTES:,} bytes", "too_long", most=MOST_BYTES))
    if "\0" in value:
        raise Unfit("holds the character NUL")
    return value


def _char(value: object) -> str:
    return _text(value).rstrip(" ")  # char(5) compares without the blanks that fill it up


# Large letters that stay as they are. The small form of Σ and of İ is another in each of PostgreSQL's locales; that of
# the Kelvin sign is the k of ASCII, which nobody types for it.
UNSETTLED_LETTERS = "\u03a3\u0130\u212a"
_LETTERS_END = 0x20000  # above there are none with a small form
_ASCII = str.maketrans(ascii_uppercase, ascii_lowercase)  # str.lower would take the other letters along


@cache
def small_forms() -> dict[int, str]:
    """The small form of each large letter that citext makes small; for str.translate."""
    ascii_letters = {ord(letter): letter.lower() for letter in ascii_uppercase}
    return ascii_letters | {
        code: small
        for code in range(0x80, _LETTERS_END)
        if (small := (letter := chr(code)).lower()) != letter
        and len(small) == 1
        and not small.isascii()
        and letter not in UNSETTLED_LETTERS
    }


def _small(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(small_forms())


def _small_ascii(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_ASCII)


# Where the database's locale makes A to Z small and no other letter, as C does, É and é are two clients: such a key has
# a type of its own. By type: what makes a text canonical, letter by letter.
CITEXT_OF_ASCII = "citext (A-Z)"
CITEXT: dict[str, Callable[[str], str]] = {"citext": _small, CITEXT_OF_ASCII: _small_ascii}


def _citext(kind: str) -> Callable[[object], str]:
    small = CITEXT[kind]
    return lambda value: _text(small(_text(value)))  # a letter may be longer when small


def _numeric(value: object) -> str:
    number = _text(value).strip(_BLANKS)
    other = _NO_NUMBERS.get(number.lower())
    if other is not None:
        return other
    if not _DECIMAL.fullmatch(number):
        raise Unfit(Sentence("must be a decimal number in a string, with a point", "not_number"))
    sign, digits, exponent = Decimal(number).as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return "0"
    if abs(exponent) > 2 * MOST_BYTES:  # before it is written out: it may have a thousand million digits
        raise Unfit(f"must be at most {MOST_BYTES:,} digits")
    text = format(Decimal((sign, digits, exponent)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if len(text) > MOST_BYTES:
        raise Unfit(f"must be at most {MOST_BYTES:,} digits")
    return text


def _uuid(value: object) -> str:
    text = _text(value)
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not _UUID.fullmatch(inner):
        raise Unfit(Sentence("must be a UUID", "not_a_uuid"))
    digits = inner.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _date(value: object) -> str:
    text = _text(value).strip(_BLANKS)
    if text in ("infinity", "-infinity"):
        return text
    found = _DATE.fullmatch(text) or _SHORT_DATE.fullmatch(text)
    if found is None:
        raise Unfit(Sentence("must be a date as in 2025-01-31", "not_a_day"))
    year, month, day = (int(part) for part in found.groups()[:3])
    era = found[4] or ""
    counted = 1 - year if era else year
    # Leap years repeat after 400 years; Python's calendar knows those from 1 to 9999.
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(counted % 400 + 2000, month)[1] or year == 0:
        raise Unfit(Sentence("must be a date that exists", "not_a_day"))
    if (counted, month, day) < _FIRST_DAY or counted > _LAST_YEAR:
        raise Unfit("must be a date that PostgreSQL knows")
    return f"{year:04}-{month:02}-{day:02}{era}"


KEY_TYPES: dict[str, Callable[[object], str]] = {
    "smallint": _integer("smallint"),
    "integer": _integer("integer"),
    "bigint": _integer("bigint"),
    "numeric": _numeric,
    "text": _text,
    "varchar": _text,
    "char": _char,
    **{kind: _citext(kind) for kind in CITEXT},
    "uuid": _uuid,
    "date": _date,
}
