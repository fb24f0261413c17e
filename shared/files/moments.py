"""Days and moments as people write them: ISO 8601, dd/mm/yyyy and mm/dd/yyyy.

A year of two digits is read where the order is known, by the rule of POSIX: 69 to 99 are 1969 to 1999, 00 to 68 are
2000 to 2068. It proves no order and no type by itself.
"""

from __future__ import annotations

import re
from datetime import date, datetime

ISO, DAY_FIRST, MONTH_FIRST = "iso", "dmy", "mdy"
_SHORT_ORDERS = (DAY_FIRST, MONTH_FIRST)
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_OTHER_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4})")
_SHORT_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{2})")
_FIRST_SHORT_YEAR = 69  # of the twentieth century
_TIME = re.compile(r"[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)( ?Z|[+-][0-9]{2}(?::?[0-9]{2})?)?")


def has_short_year(text: str) -> bool:
    """Whether this is a day, alone or with a time, whose year has two digits."""
    return any(read_moment(text, order, short=True) or read_date(text, order, short=True) for order in _SHORT_ORDERS)


def read_date(text: str, order: str, *, short: bool = False) -> str | None:
    """A day as `2024-12-31`; None where the text is none. `short` takes years of two digits alone."""
    other = _SHORT_DATE if short else _OTHER_DATE
    match = (_ISO_DATE if order == ISO else other).fullmatch(text)
    if match is None:
        return None
    if order == ISO:
        year, month, day = match[1], match[2], match[3]
    else:
        year = _whole_year(match[4])
        day, month = (match[1], match[3]) if order == DAY_FIRST else (match[3], match[1])
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def is_written_as(text: str, order: str) -> bool:
    """Whether a text that is no day and no moment has the figures of a day in this order, with or without a time.

    It is no day for what the figures are: the 31st of February, or a thirteenth month.
    """
    day, _, time = text.replace("T", " ", 1).partition(" ")
    if read_date(day, order) is not None or (time and not _TIME.fullmatch(f" {time}")):
        return False
    return (_ISO_DATE if order == ISO else _OTHER_DATE).fullmatch(day) is not None


def _whole_year(written: str) -> str:
    if len(written) == 4:
        return written
    return ("19" if int(written) >= _FIRST_SHORT_YEAR else "20") + written


def read_moment(text: str, order: str, *, short: bool = False) -> tuple[str, bool] | None:
    """A moment in ISO 8601, and whether it has a zone; None where the text is none."""
    cut = next((n for n, letter in enumerate(text) if letter in " T"), len(text))
    day, time = read_date(text[:cut], order, short=short), _TIME.fullmatch(text[cut:])
    if day is None or time is None:
        return None
    zone = (time[2] or "").strip().replace("Z", "+00:00")
    if len(zone) == 3:
        zone += ":00"
    try:
        return datetime.fromisoformat(f"{day}T{time[1]}{zone}").isoformat(sep=" "), bool(zone)
    except ValueError:
        return None
