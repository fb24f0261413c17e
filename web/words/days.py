"""Days of the reader's calendar, as a field of a form gives them."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo


def start_of(day: str, zone: tzinfo, *, later: int = 0) -> str | None:
    """When the day begins, or one so many days later, as the API takes it; None where the text is no such day."""
    try:
        found = datetime.strptime(day, "%Y-%m-%d").date() + timedelta(days=later)  # noqa: DTZ007 - a day, no moment
        return datetime.combine(found, time(), zone).isoformat()
    except (ValueError, OverflowError):
        return None
