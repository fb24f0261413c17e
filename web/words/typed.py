"""What a reader typed into a field, as the API takes it: numbers and days the way the screens write them.

A French reader copies 1 000,50 and 31/01/2026 from a screen and may give them back. What does not look like that stays
as it was typed, so that the API says what is wrong with it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from babel.numbers import get_decimal_symbol, get_group_symbol

from web.words.language import Language

_BLANKS = " \u00a0\u202f\u2009"  # plain, no-break, narrow no-break and thin: what stands between thousands in French
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_DAY = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T,]+(?:à )?(\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?))?")


def number_typed(language: Language, text: str) -> str:
    """A number with a point and no thousands marks; the text itself where it is no number of this language."""
    decimal, group = get_decimal_symbol(language.locale), get_group_symbol(language.locale)
    groups = _BLANKS if group.isspace() else group
    grouped = rf"\d{{1,3}}(?:[{re.escape(groups)}]\d{{3}})+"
    found = re.fullmatch(rf"([+\-−]?)({grouped}|\d+)(?:{re.escape(decimal)}(\d+))?([eE][+-]?\d+)?", text.strip())
    if found is None:
        return text
    sign = "-" if found[1] in ("-", "−") else ""
    whole = re.sub(r"\D", "", found[2])
    return f"{sign}{whole}{f'.{found[3]}' if found[3] else ''}{found[4] or ''}"


def day_typed(language: Language, text: str) -> str:
    """A day, with its time of day if there is one, as 2026-01-31; the text itself where it is none.

    In French alone: 01/02/2026 is a day of February there, and may be one of January to a reader of English.
    """
    found = _DAY.fullmatch(text.strip()) if language.code == "fr" else None
    if found is None:
        return text
    try:
        day = date(int(found[3]), int(found[2]), int(found[1])).isoformat()
    except ValueError:
        return text
    clock = (found[4] or "").replace(",", ".")
    return f"{day}T{clock.zfill(5) if clock.count(':') == 1 else clock}" if clock else day


def column_value_typed(language: Language, kind: str, text: str) -> str:
    """The value of a filter for a column of this type of PostgreSQL; a time without a zone is of the reader's."""
    if kind in _NUMBERS:
        return number_typed(language, text)
    if kind not in ("date", "timestamp", "timestamptz"):
        return text
    found = day_typed(language, text)
    if kind != "timestamptz" or found == text:
        return found
    try:
        return moment_typed(datetime.fromisoformat(found).replace(tzinfo=language.zone))
    except (ValueError, OverflowError):  # 25:00; a moment of the year 1 that UTC does not have
        return text


def moment_typed(moment: datetime) -> str:
    """A moment with its zone, as the API takes it: in UTC where the zone was seconds from it, as most were before 1911.

    Raises OverflowError where it lies in no year from 1 to 9999 of UTC.
    """
    offset = moment.utcoffset() or timedelta()
    return (moment.astimezone(UTC) if offset % timedelta(minutes=1) else moment).isoformat()


def start_of(day: str, zone: tzinfo, *, later: int = 0) -> str | None:
    """When the day begins, or one so many days later, as the API takes it; None where the text is no such day."""
    try:
        found = datetime.strptime(day, "%Y-%m-%d").date() + timedelta(days=later)  # noqa: DTZ007 - a day, no moment
        return moment_typed(datetime.combine(found, time(), zone))
    except (ValueError, OverflowError):
        return None
