"""Times that are given in any zone that ISO 8601 knows: what goes on from them is UTC, which PostgreSQL can read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from api.http.problems import Invalid
from api.http.validation import GivenTime
from api.intake.selections import job_deadline
from shared.sources.filter_values import value_text
from shared.sources.key_types import Unfit

FAR_ZONE = "4795-06-30T22:45:02-19:15"  # PostgreSQL refuses zones that are 16 hours or more from UTC
IN_UTC = datetime(4795, 7, 1, 18, 0, 2, tzinfo=UTC)
NO_SUCH_YEAR = "9999-12-31T23:00:00-05:00"  # the year 10000 in UTC


def test_a_far_zone_is_read() -> None:
    """In queries and bodies, as a deadline, and in a filter on a column of times."""
    for found in (TypeAdapter(GivenTime).validate_python(FAR_ZONE), job_deadline(FAR_ZONE)):
        assert found is not None
        assert found.isoformat() == IN_UTC.isoformat()
    assert value_text("timestamptz", FAR_ZONE) == "4795-07-01 18:00:02+00:00"


def test_a_year_that_there_is_not_is_refused() -> None:
    """In words, and never by an error that nobody foresaw."""
    with pytest.raises(ValidationError, match="years 1 to 9999"):
        TypeAdapter(GivenTime).validate_python(NO_SUCH_YEAR)
    with pytest.raises(Invalid):
        job_deadline(NO_SUCH_YEAR)
    with pytest.raises(Unfit):
        value_text("timestamptz", NO_SUCH_YEAR)
