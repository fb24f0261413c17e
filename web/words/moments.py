"""Times and durations as readers of a locale write them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.numbers import get_decimal_symbol

from web.words.numbers import Numbers

# The day has 24 hours in every locale: a page with times to the millisecond has both kinds otherwise, and whoever chose
# English in a browser of another language has named no country.
_MINUTES, _SECONDS = "Hm", "Hms"
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Moments:
    """Times in one locale and zone."""

    locale: Locale
    zone: tzinfo
    is_own_zone: bool = True  # the reader's; else every time of day says which it is of

    def clock(self, at: datetime) -> str:
        """The time of day, to the minute; without its zone, for axes."""
        return format_skeleton(_MINUTES, at.astimezone(self.zone), locale=self.locale)

    def second(self, at: datetime) -> str:
        """The time of day, to the second."""
        return self._with_zone(at, self._clock_to_the_second(at))

    def exact(self, at: datetime) -> str:
        """The time of day to the millisecond, for what happened within one prediction."""
        here = at.astimezone(self.zone)
        thousandths = f"{get_decimal_symbol(self.locale)}{here.microsecond // 1000:03}"
        return self._with_zone(at, f"{here:%H:%M:%S}{thousandths}")

    def near(self, at: datetime, now: datetime | None = None) -> str:
        """The time of day if it is today, else the date as well."""
        if at.astimezone(self.zone).date() == (now or datetime.now(UTC)).astimezone(self.zone).date():
            return self.second(at)
        return self.of_a_day(at, now)

    def of_a_day(self, at: datetime, now: datetime | None = None) -> str:
        """Date and time of day, to the minute: what tells things apart that have no name."""
        return self._with_zone(at, f"{self._short_day(at, now)}, {self.clock(at)}")

    def mark(self, at: datetime, step: int, *, is_first: bool = False, now: datetime | None = None) -> str:
        """A mark of an axis whose marks are `step` seconds apart: no more of the time than tells them apart.

        The first says the day, too, unless it is today; and so does midnight.
        """
        here, today = at.astimezone(self.zone), (now or datetime.now(UTC)).astimezone(self.zone)
        day = self._short_day(at, now)
        if step >= _DAY or (here.hour, here.minute, here.second) == (0, 0, 0):
            return day
        clock = self._clock_to_the_second(at) if step < _MINUTE else self.clock(at)
        return f"{day}, {clock}" if is_first and here.date() != today.date() else clock

    def dated(self, at: datetime, now: datetime | None = None) -> str:
        """The date and the time of day to the second, today as well: where a sentence or a head wants a day."""
        return f"{self._short_day(at, now)}, {self.second(at)}"

    def day(self, at: datetime) -> str:
        """The date."""
        return format_date(at.astimezone(self.zone), "long", locale=self.locale)

    def full(self, at: datetime) -> str:
        """Date, time and zone in full: what a document and a tooltip say."""
        here = at.astimezone(self.zone)
        return f"{format_date(here, 'medium', locale=self.locale)}, {self._clock_to_the_second(at)} {_zone_name(here)}"

    def to_the_digit(self, at: datetime) -> str:
        """Date, time and zone, with every digit of the time: what was scored."""
        here = at.astimezone(self.zone)
        return f"{here.replace(tzinfo=None).isoformat(sep=' ')} {_zone_name(here)}"

    def _clock_to_the_second(self, at: datetime) -> str:
        return format_skeleton(_SECONDS, at.astimezone(self.zone), locale=self.locale)

    def _short_day(self, at: datetime, now: datetime | None) -> str:
        here, today = at.astimezone(self.zone), (now or datetime.now(UTC)).astimezone(self.zone)
        return format_skeleton("MMMd" if here.year == today.year else "yMMMd", here, locale=self.locale)

    def _with_zone(self, at: datetime, text: str) -> str:
        return text if self.is_own_zone else f"{text} {_zone_name(at.astimezone(self.zone))}"

    def lasting(self, seconds: float) -> str:
        """A duration, in one unit."""
        if seconds < _MINUTE:
            return f"{Numbers(self.locale).plain(seconds, 2 if seconds < 10 else 3)} s"
        if seconds < _HOUR:
            return f"{seconds / _MINUTE:.0f} min"
        return format_timedelta(timedelta(seconds=seconds), format="short", threshold=1.2, locale=self.locale)

    def roughly(self, seconds: float) -> str:
        """A duration that is only guessed, rounded as a person would say it: 40 s, 5 min."""
        if seconds < 10:
            return f"{max(1, round(seconds))} s"
        if seconds < 55:
            return f"{5 * round(seconds / 5)} s" if seconds < 30 else f"{10 * round(seconds / 10)} s"
        return self.lasting(max(seconds, _MINUTE))


def _zone_name(here: datetime) -> str:
    """UTC, UTC+1 or UTC−3:30: every reader knows it, and a name in letters has a meaning in one country only."""
    offset = here.utcoffset() or timedelta()
    if not offset:
        return "UTC"
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"UTC{'+' if offset > timedelta() else '−'}{hours}{f':{minutes:02}' if minutes else ''}"
