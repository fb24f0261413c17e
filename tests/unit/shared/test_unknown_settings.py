"""Variables that look like settings and are none are told, with the one that was meant."""

from __future__ import annotations

import pytest

from shared.config import Settings
from shared.settings.unknown import unknown_variables


def test_a_misspelt_setting_is_told_with_the_one_that_was_meant() -> None:
    """In the order of their names; in small letters they count, too, as they do for settings."""
    assert unknown_variables(["PREDICTQ_SEASON", "predictq_max_upload_row", "HOME"]) == [
        "PREDICTQ_SEASON is no setting",
        "predictq_max_upload_row is no setting: did you mean PREDICTQ_MAX_UPLOAD_ROWS?",
    ]


@pytest.mark.parametrize(
    "name", [f"PREDICTQ_{field.upper()}" for field in Settings.model_fields] + ["PREDICTQ_API_KEY"]
)
def test_what_has_an_effect_is_not_told(name: str) -> None:
    """Each setting, in either case."""
    assert unknown_variables([name, name.lower()]) == []


def test_the_address_of_a_source_is_not_told() -> None:
    """It may be called anything."""
    assert unknown_variables(["PREDICTQ_CRM"], of_sources=["PREDICTQ_CRM"]) == []
