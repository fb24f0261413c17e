"""Days and moments as people write them: ISO 8601, dd/mm/yyyy and mm/dd/yyyy."""

from __future__ import annotations

import re
from datetime import date, datetime

ISO, DAY_FIRST, MONTH_FIRST = "iso", "dmy", "mdy"
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_OTHER_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4})")
_TIME = re.compile(r"[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)( ?Z|[+-][0-9]{2}(?::?[0-9]{2})?)?")


def read_date(text: str, order: str) -> str | None:
    """A day as `2024-12-31`; None where the text is none."""
    match = (_ISO_DATE if order == ISO else _OTHER_DATE).fullmatch(text)
    if match is None:
        return None
    if order == ISO:
        year, month, day = match[1], match[2], match[3]
    else:
        year = match[4]
        day, month = (match[1], match[3]) if order == DAY_FIRST else (match[3], match[1])
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def read_moment(text: str, order: str) -> tuple[str, bool] | None:
    """A moment in ISO 8601, and whether it has a zone; None where the text is none."""
    cut = next((n for n, letter in enumerate(text) if letter in " T"), len(text))
    day, time = read_date(text[:cut], order), _TIME.fullmatch(text[cut:])
    if day is None or time is None:
        return None
    zone = (time[2] or "").strip().replace("Z", "+00:00")
    if len(zone) == 3:
        zone += ":00"
    try:
        return datetime.fromisoformat(f"{day}T{time[1]}{zone}").isoformat(sep=" "), bool(zone)
    except ValueError:
        return None
