"""A filter's values are sent as they were written: what they are is for the column to say."""

from __future__ import annotations

import pytest

from cli.arguments.conditions import read_condition
from shared.sources.filter_values import value_text
from shared.sources.key_types import Unfit
from web.screens.jobs.new import where_of


@pytest.mark.parametrize("word", ["true", "FALSE"])
def test_true_and_false_can_be_asked_for_in_columns_of_texts_and_of_truth_values(word: str) -> None:
    """On the command line and in the screens, which do not know the column's type."""
    for where in (read_condition([f"flag={word}"]), where_of([{"column": "flag", "sign": "", "value": word}])):
        assert value_text("text", where["flag"]) == word
        assert value_text("boolean", where["flag"]) == word.lower()


def test_another_word_is_no_truth_value() -> None:
    """It is refused, and not taken for false."""
    with pytest.raises(Unfit):
        value_text("boolean", "yes")
