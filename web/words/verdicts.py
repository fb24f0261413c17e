"""What an answer says, in one sentence: of which class its probability is, and how it lies to the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from web.words.catalogues import N_
from web.words.language import Language
from web.words.values import shown_label

_REACHES = N_("probability of class “%(name)s”: %(value)s, at or above the threshold of %(threshold)s")
_BELOW = N_("probability of class “%(name)s”: %(value)s, below the threshold of %(threshold)s")
_HIGHEST = N_("probability of class “%(name)s”: %(value)s, the highest of %(count)s")


def said_of(language: Language, answer: Mapping[str, Any], classes: Sequence[Any]) -> str:
    """The sentence beside an answer, no digit left out; of a regression, that the figure is the model's."""
    probability, threshold = answer.get("probability"), answer.get("threshold")
    if probability is None:
        return language.say(N_("the model's value"))
    numbers = language.numbers
    value = numbers.exact(probability)
    if threshold is None:
        name = shown_label(language, answer["label"])
        return language.say(_HIGHEST, name=name, value=value, count=numbers.whole(len(classes)))
    text = _REACHES if probability >= threshold else _BELOW
    name = shown_label(language, classes[1])  # of two classes, the one whose probability is given
    return language.say(text, name=name, value=value, threshold=numbers.exact(threshold))
