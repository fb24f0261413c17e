"""Periods as people write them: whole days, weeks, months or years."""

from __future__ import annotations

import re

from shared.retention.rules.errors import PeriodRefused

FOR_EVER = "for ever"
_FORM = re.compile(r"\s*([1-9]\d{0,4})\s+(day|week|month|year)s?\s*", re.ASCII | re.IGNORECASE)
_FOREVER = re.compile(r"\s*for\s?ever\s*", re.IGNORECASE)

# For a model "for ever" is a period of its own, which an interval cannot say but by being longer than time matters.
ENDLESS = "5000 years"
ENDS_SQL = "{0} < interval '1000 years'"

# An interval as text: whole months and days, as people said them. Null stays null.
PERIOD_SQL = f"""CASE WHEN {{0}} IS NULL THEN NULL WHEN {ENDS_SQL} THEN concat_ws(' ',
    CASE WHEN extract(year FROM {{0}}) * 12 + extract(month FROM {{0}}) <> 0
         THEN extract(year FROM {{0}}) * 12 + extract(month FROM {{0}}) || ' months' END,
    CASE WHEN extract(day FROM {{0}}) <> 0 THEN extract(day FROM {{0}}) || ' days' END)
    ELSE '{FOR_EVER}' END"""

_MONTHS = """generate_series(make_timestamp(200000, 1, 1, 0, 0, 0), make_timestamp(200400, 1, 1, 0, 0, 0),
                             interval '1 month') AS month"""

# Whether a period may end before another one does, at any moment of the calendar, which repeats itself in 400 years:
# "180 days" may be shorter than "6 months", which are up to 184, and "1 month" shorter than "30 days". So far ahead
# there is room for any period.
SHORTER_SQL = f"EXISTS (SELECT FROM {_MONTHS} WHERE month - {{0}} > month - {{1}})"

# The fewest and the most days that a period may have.
FEWEST_DAYS_SQL = f"(SELECT extract(day FROM min(month - (month - {{0}}))) FROM {_MONTHS})"
MOST_DAYS_SQL = f"(SELECT extract(day FROM max(month - (month - {{0}}))) FROM {_MONTHS})"


def parse_period(text: str) -> str | None:
    """The period in the words that PostgreSQL takes for an interval; None is for ever. Raises PeriodRefused."""
    if _FOREVER.fullmatch(text):
        return None
    found = _FORM.fullmatch(text)
    if found is None:
        raise PeriodRefused(text)
    number, unit = found.groups()
    return f"{int(number)} {unit.lower()}s"
