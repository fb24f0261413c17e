"""Numbers and days are taken the way the screens of a language write them."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from pydantic import TypeAdapter

from api.http.validation import GivenTime
from web.words.language import choose_language
from web.words.typed import column_value_typed, day_typed, number_typed, start_of

FRENCH = choose_language({"predictq_zone": "Europe%2FParis"}, "fr")
ENGLISH = choose_language({}, "en")


@pytest.mark.parametrize(
    "number", [0, 7, -3, 999, 1_000, 1_234_567, 0.5, -1_000.5, 1_000.05, 12_345.678_9, 1e29, -1e-7]
)
def test_every_number_that_a_screen_writes_can_be_typed(number: float) -> None:
    """In either language, and by a reader of any country that speaks it."""
    for accept in ("fr", "fr-CH", "fr-CA", "en", "en-GB", "en-IN"):
        language = choose_language({}, accept)
        assert float(number_typed(language, language.numbers.exact(number))) == number


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("1 000,50", "1000.50"),
        ("1\u00a0000,50", "1000.50"),
        ("1\u202f000\u202f000", "1000000"),
        ("\u22121,5", "-1.5"),
        ("1000.50", "1000.50"),
        ("1,5e29", "1.5e29"),
        ("1,5 e29", "1,5 e29"),
        ("1 00", "1 00"),
        ("1,2,3", "1,2,3"),
        ("12 ans", "12 ans"),
    ],
)
def test_what_a_french_reader_types_is_a_number_where_it_can_be_one(text: str, taken: str) -> None:
    """All else stays what it was, for the API to refuse."""
    assert number_typed(FRENCH, text) == taken


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("31/01/2026", "2026-01-31"),
        ("1/2/2026 9:05", "2026-02-01T09:05"),
        ("31/01/2026 12:00:07,5", "2026-01-31T12:00:07.5"),
        ("31/02/2026", "31/02/2026"),
        ("2026-01-31", "2026-01-31"),
    ],
)
def test_days_first_is_how_a_french_reader_types_a_day(text: str, taken: str) -> None:
    """On an English screen nobody knows which comes first."""
    assert day_typed(FRENCH, text) == taken
    assert day_typed(ENGLISH, text) == text


def test_a_column_is_compared_with_what_its_type_takes() -> None:
    """A text stays a text, however it looks; a moment without a zone is one of the reader's."""
    assert column_value_typed(FRENCH, "numeric", "1 000,50") == "1000.50"
    assert column_value_typed(FRENCH, "text", "1 000,50") == "1 000,50"
    assert column_value_typed(FRENCH, "date", "31/01/2026") == "2026-01-31"
    assert column_value_typed(FRENCH, "timestamp", "31/01/2026 9:00") == "2026-01-31T09:00"
    assert column_value_typed(FRENCH, "timestamptz", "31/01/2026") == "2026-01-31T00:00:00+01:00"
    assert column_value_typed(FRENCH, "timestamptz", "31/01/2026 25:00") == "31/01/2026 25:00"
    assert column_value_typed(FRENCH, "timestamptz", "31/01/1900") == "1900-01-30T23:50:39+00:00"
    assert column_value_typed(FRENCH, "timestamptz", "01/01/0001") == "01/01/0001"


@pytest.mark.parametrize("year", [2, 1800, 1900, 1911, 1937, 1972, 2026])
def test_the_api_takes_every_day_of_every_zone(year: int) -> None:
    """Offsets had seconds while zones went by local mean time, and some until 1972."""
    api_time = TypeAdapter(GivenTime)
    for name in sorted(available_timezones()):
        zone, day = ZoneInfo(name), date(year, 1, 1)
        begins, ends = start_of(day.isoformat(), zone), start_of(day.isoformat(), zone, later=1)
        assert begins is not None, name
        assert ends is not None, name
        began = api_time.validate_python(begins)
        assert began.astimezone(zone).date() == day, name
        assert api_time.validate_python(ends) - began < timedelta(days=2), name


def test_a_day_that_utc_does_not_have_is_none() -> None:
    """At the ends of the calendar."""
    assert start_of("0001-01-01", ZoneInfo("Europe/Paris")) is None
    assert start_of("9999-12-31", ZoneInfo("UTC"), later=1) is None
