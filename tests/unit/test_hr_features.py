from __future__ import annotations

from examples.hr_attrition.features import FEATURES, IGNORED_COLUMNS, TARGET
from model.columns import column_name
from shared.sources import sample_features


def test_the_readers_still_know_the_same_columns() -> None:
    """Until they take their columns from a source, the list that they have is the example's."""
    assert sample_features.CLIENT_FEATURES == FEATURES
    assert (sample_features.TARGET, sample_features.IGNORED_COLUMNS) == (TARGET, IGNORED_COLUMNS)


def test_names_are_in_the_form_that_the_reader_makes_of_headers() -> None:
    """A CSV that we wrote is read back under the same names."""
    assert [column_name(spec.name) for spec in FEATURES] == [spec.name for spec in FEATURES]
