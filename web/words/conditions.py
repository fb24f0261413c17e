"""A filter of the API in words, as whoever built it by clicking would read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from web.words.catalogues import N_
from web.words.language import Language
from web.words.values import shown_label

SIGNS = {
    "": N_("is"),
    "gte": N_("at least"),
    "lte": N_("at most"),
    "gt": N_("more than"),
    "lt": N_("less than"),
    "null": N_("is empty"),
}
SEMICOLON = N_("; ")  # in French with a space before it
_MOST = 10  # values of a list that are shown


def filter_words(language: Language, where: Mapping[str, Any]) -> str:
    """All that must hold, separated by semicolons."""
    mark = language.say(SEMICOLON)
    return mark.join(f"{column} {words}" for column, value in where.items() for words in _conditions(language, value))


def _conditions(language: Language, value: Any) -> Iterator[str]:
    if value is None:
        yield _sign(language, "null")
    elif isinstance(value, Mapping):
        for sign, limit in value.items():
            yield f"{_sign(language, sign)} {shown_label(language, limit)}"
    else:
        yield f"{_sign(language, '')} {_alternatives(language, value if isinstance(value, list) else [value])}"


def _sign(language: Language, sign: str) -> str:
    words = SIGNS.get(sign) or sign
    return language.say(words)


def _alternatives(language: Language, values: list[Any]) -> str:
    shown = [_sign(language, "null") if value is None else shown_label(language, value) for value in values[:_MOST]]
    return ", ".join([*shown, *(["…"] if len(values) > _MOST else [])])
