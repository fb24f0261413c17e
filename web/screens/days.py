"""The first and the last day of a list's filter, as the reader means them: of her zone, the last one included."""

from __future__ import annotations

from datetime import datetime

from web.frame.screen import Screen
from web.words.typed import start_of

DAYS = {"since": 0, "until": 1}  # by the field's name: how many days after its own the API's moment is


def moment_of_day(screen: Screen, name: str, day: str) -> str | None:
    """The moment that the API takes for the day in this field; None where the text is no day."""
    return start_of(day, screen.language.zone, later=DAYS[name])


def wrong_days(screen: Screen) -> dict[str, str]:
    """What is wrong with the days of the filter, by field: no day, or none between the two."""
    given = {name: screen.query(name) for name in DAYS}
    moments = {name: moment_of_day(screen, name, day) for name, day in given.items() if day}
    wrong = {name: screen.say("This is no day.") for name, moment in moments.items() if moment is None}
    since, until = moments.get("since"), moments.get("until")
    if since and until and datetime.fromisoformat(since) >= datetime.fromisoformat(until):
        wrong["until"] = screen.say("This day is before the first one.")
    return wrong
