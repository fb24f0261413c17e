"""Times and durations as readers of a locale write them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton, format_time, format_timedelta, get_timezone_name

from web.words.numbers import Numbers

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Moments:
    """Times in one locale and zone."""

    locale: Locale
    zone: tzinfo

    def clock(self, at: datetime) -> str:
        """The time of day, to the minute."""
        return format_time(at.astimezone(self.zone), "short", locale=self.locale)

    def second(self, at: datetime) -> str:
        """The time of day, to the second."""
        return format_time(at.astimezone(self.zone), "medium", locale=self.locale)

    def exact(self, at: datetime) -> str:
        """The time of day to the millisecond, for what happened within one prediction."""
        return format_time(at.astimezone(self.zone), "HH:mm:ss.SSS", locale=self.locale)

    def near(self, at: datetime, now: datetime | None = None) -> str:
        """The time of day if it is today, else the date as well."""
        here, today = at.astimezone(self.zone), (now or datetime.now(UTC)).astimezone(self.zone)
        if here.date() == today.date():
            return format_time(here, "medium", locale=self.locale)
        return self.dated(at, now)

    def dated(self, at: datetime, now: datetime | None = None) -> str:
        """Date and time of day, to the minute: what tells things apart that have no name."""
        here, today = at.astimezone(self.zone), (now or datetime.now(UTC)).astimezone(self.zone)
        return f"{self._short_day(here, today)}, {self.clock(at)}"

    def mark(self, at: datetime, step: int, *, is_first: bool = False, now: datetime | None = None) -> str:
        """A mark of an axis whose marks are `step` seconds apart: no more of the time than tells them apart.

        The first says the day, too, unless it is today; and so does midnight.
        """
        here, today = at.astimezone(self.zone), (now or datetime.now(UTC)).astimezone(self.zone)
        day = self._short_day(here, today)
        if step >= _DAY or (here.hour, here.minute, here.second) == (0, 0, 0):
            return day
        clock = self.second(at) if step < _MINUTE else self.clock(at)
        return f"{day}, {clock}" if is_first and here.date() != today.date() else clock

    def _short_day(self, here: datetime, today: datetime) -> str:
        return format_skeleton("MMMd" if here.year == today.year else "yMMMd", here, locale=self.locale)

    def day(self, at: datetime) -> str:
        """The date."""
        return format_date(at.astimezone(self.zone), "long", locale=self.locale)

    def full(self, at: datetime) -> str:
        """Date, time and zone in full: what a document and a tooltip say."""
        here = at.astimezone(self.zone)
        zone = get_timezone_name(here, width="short", locale=self.locale)
        return f"{format_datetime(here, 'medium', locale=self.locale)} {zone}"

    def lasting(self, seconds: float) -> str:
        """A duration, in one unit."""
        if seconds < _MINUTE:
            return f"{Numbers(self.locale).plain(seconds, 2 if seconds < 10 else 3)} s"
        if seconds < _HOUR:
            return f"{seconds / _MINUTE:.0f} min"
        return format_timedelta(timedelta(seconds=seconds), format="short", threshold=1.2, locale=self.locale)
