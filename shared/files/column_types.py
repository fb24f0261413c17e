"""The types that a column of a file may have, and how a text of the file becomes a value of each."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from shared.files import moments, numbers
from shared.files.flag_words import flag_of
from shared.sentences import Sentence

NULL_WORDS = frozenset({"NA", "N/A", "#N/A", "NULL", "null", "NaN", "nan", "None"})  # beside nothing; not in texts
# What pandas takes for nothing in texts, too. Here they are words there: "None" is a town, or an answer.
WORDS_LIKE_NULL = NULL_WORDS | {"n/a", "<NA>", "#NA"}
INTEGER_LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
TYPES = (*INTEGER_LIMITS, "numeric", "double precision", "boolean", "date", "timestamp", "timestamptz", "uuid", "text")
ALIASES = {
    "int": "integer",
    "float": "double precision",
    "double": "double precision",
    "real": "double precision",
    "bool": "boolean",
    "decimal": "numeric",
    "string": "text",
    "varchar": "text",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "character varying": "text",
}
_BLANKS = " \t\u00a0\u202f"


@dataclass(frozen=True, slots=True)
class Dress:
    """How the values of a column are written."""

    decimal: str = numbers.POINT
    order: str = moments.ISO
    unit: str = ""  # a sign that stands beside the numbers, and says nothing of them
    has_null_words: bool = False  # of a text: whether a word like NA is null, which it is in all other types

    def in_words(self, kind: str) -> str:
        """What a person must know of it; nothing where it is as usual."""
        words = ["decimal comma"] if kind in {"numeric", "double precision"} and self.decimal == numbers.COMMA else []
        words += [f"in {self.unit}"] if self.unit else []
        if words:
            return ", ".join(words)
        if kind in {"date", "timestamp", "timestamptz"} and self.order != moments.ISO:
            return "dd/mm/yyyy" if self.order == moments.DAY_FIRST else "mm/dd/yyyy"
        return ""


class Misfit(Exception):
    """A text is no value of its column's type. The text of the error says what it should be."""


def read_value(text: str, kind: str, dress: Dress) -> str:
    """A text of the file as PostgreSQL reads it; empty for null. Raises Misfit."""
    if kind == "text":
        if "\0" in text:
            raise Misfit("holds a NUL character, which PostgreSQL cannot store")
        return "" if dress.has_null_words and text in WORDS_LIKE_NULL else text
    text = text.strip(_BLANKS)
    if not text or text in NULL_WORDS:
        return ""
    return _READERS[kind](text, dress)


def _integer(limit: int) -> Callable[[str, Dress], str]:
    def read(text: str, dress: Dress) -> str:
        whole = _whole(_number(text, dress))
        if whole is None:
            raise Misfit(Sentence(f"{text[:80]!r} is not a whole number", "not_whole", value=text[:80]))
        if not -limit <= whole < limit:
            said = f"{text[:80]} is not between {-limit} and {limit - 1}"
            raise Misfit(Sentence(said, "not_whole", value=text[:80], minimum=-limit, maximum=limit - 1))
        return str(whole)

    return read


def _whole(number: str) -> int | None:
    """The whole number that this is, perhaps with zeros behind its point; None of any other."""
    whole, _, rest = number.partition(".")
    return int(whole) if not rest.strip("0") and re.fullmatch(r"[+-]?[0-9]+", whole) else None


def _number(text: str, dress: Dress) -> str:
    written, text = text, numbers.without_unit(text, dress.unit) if dress.unit else text
    if not numbers.fits(text, dress.decimal):
        other = numbers.COMMA if dress.decimal == numbers.POINT else numbers.POINT
        hint = f"; --decimal {other} reads it as one" if numbers.fits(text, other) else ""
        unit = numbers.unit_of(text.lstrip("-+"))
        hint = f"; --types COLUMN=numeric:{unit} reads it as one" if unit and not dress.unit else hint
        raise Misfit(Sentence(f"{written[:80]!r} is not a number{hint}", "not_number", value=written[:80]))
    return numbers.plain(text, dress.decimal)


def _double(text: str, dress: Dress) -> str:
    number = _number(text, dress)
    held, whole = float(number), _whole(number)
    wrong = ""
    if math.isinf(held):
        wrong = "is beyond what a double holds"
    elif not held and numbers.significant_digits(number):
        wrong = "is nearer to zero than what a double holds"
    elif whole is not None and int(held) != whole:
        wrong = "is a whole number of more digits than a double holds"
    if wrong:
        raise Misfit(f"{text[:80]} {wrong}: --types COLUMN=numeric takes it")
    return number


def _boolean(text: str, _: Dress) -> str:
    value = flag_of(text)
    if value is None:
        said = f"{text[:80]!r} is neither true nor false (yes/no, oui/non, 1/0)"
        raise Misfit(Sentence(said, "not_boolean", value=text[:80]))
    return "true" if value else "false"


def _date(text: str, dress: Dress) -> str:
    found = _day(text, dress)
    if found is None:
        wanted = _no_such_day(text, dress) or f"is no day such as 2024-12-31{_short_year_hint(text, 'date')}"
        said = f"{text[:80]!r} {wanted}"
        raise Misfit(Sentence(said, "not_a_day", value=text[:80]))
    return found


def _day(text: str, dress: Dress) -> str | None:
    ways = ((dress.order, False), (dress.order, dress.order != moments.ISO), (moments.ISO, False))
    return next((day for order, short in ways if (day := moments.read_date(text, order, short=short))), None)


def _short_year_hint(text: str, kind: str) -> str:
    if not moments.has_short_year(text):
        return ""
    return f"; --types COLUMN={kind}:dmy or COLUMN={kind}:mdy reads its year of two digits"


def _no_such_day(text: str, dress: Dress) -> str:
    """What is said of a day as the column writes its days that no calendar has; empty of all else."""
    if not moments.is_written_as(text, dress.order):
        return ""
    return f"has a day that there is not, read as {_ORDER_NAMES[dress.order]}"


_ORDER_NAMES = {moments.ISO: "yyyy-mm-dd", moments.DAY_FIRST: "dd/mm/yyyy", moments.MONTH_FIRST: "mm/dd/yyyy"}


def _moment(text: str, dress: Dress) -> str:
    ways = ((dress.order, False), (dress.order, dress.order != moments.ISO), (moments.ISO, False))
    found = next((moment for order, short in ways if (moment := moments.read_moment(text, order, short=short))), None)
    if found is None:
        day = _day(text, dress)
        if day is None:
            hint = _short_year_hint(text, "timestamp")
            wanted = _no_such_day(text, dress) or f"is no moment such as 2024-12-31 23:59:59{hint}"
            said = f"{text[:80]!r} {wanted}"
            raise Misfit(Sentence(said, "not_a_date", value=text[:80], example="2024-12-31 23:59:59"))
        return day
    return found[0]


def _timestamp(text: str, dress: Dress) -> str:
    value = _moment(text, dress)
    if re.search(r"[+-][0-9]{2}:[0-9]{2}$", value):
        raise Misfit(f"{text[:80]!r} has a time zone, and its column has none: --types COLUMN=timestamptz takes it")
    return value


def _timestamptz(text: str, dress: Dress) -> str:
    value = _moment(text, dress)
    if not re.search(r"[+-][0-9]{2}:[0-9]{2}$", value):
        raise Misfit(f"{text[:80]!r} has no time zone, and its column has one: --types COLUMN=timestamp takes it")
    return value


def _uuid(text: str, _: Dress) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Misfit(f"{text[:80]!r} is no uuid") from None


_READERS: dict[str, Callable[[str, Dress], str]] = {
    **{kind: _integer(limit) for kind, limit in INTEGER_LIMITS.items()},
    "numeric": _number,
    "double precision": _double,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "uuid": _uuid,
}
