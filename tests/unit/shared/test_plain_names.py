"""Names may have pictures in them, and nothing that nobody sees or that turns a line around."""

from __future__ import annotations

import pytest

from api.http.problems import Invalid
from api.intake.selections import job_name
from shared.plain_names import refuse_unprintable, unprintable_in

FAMILY = "👨\u200d👩\u200d👧"
COLOURED = "❤\ufe0f\u200d🔥"
DARK_SCIENTIST = "👩🏽\u200d🔬"


@pytest.mark.parametrize("name", ["attrition", "Été 2026", FAMILY, f"foyers {FAMILY} 2", COLOURED, DARK_SCIENTIST])
def test_a_name_may_have_joined_pictures(name: str) -> None:
    """A family is one picture for whoever reads it."""
    assert unprintable_in(name) is None
    assert job_name(name) == name


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("a\u200db", "\u200d"),
        ("\u200d👩", "\u200d"),
        ("👩\u200d", "\u200d"),
        ("👩\u200d\u200d👧", "\u200d"),
        ("a\u202eb", "\u202e"),
        ("a\u2066b", "\u2066"),
        ("line\nbreak", "\n"),
        (f"{FAMILY}\x1b[2J", "\x1b"),
        ("a\u200bb", "\u200b"),
    ],
)
def test_what_nobody_sees_is_refused(name: str, sign: str) -> None:
    """Joiners without pictures, marks of direction, and whatever moves a cursor."""
    assert unprintable_in(name) == sign
    assert refuse_unprintable("A name", name, 200) == f"A name may hold no control characters; this one has {sign!r}."
    with pytest.raises(Invalid):
        job_name(name)
