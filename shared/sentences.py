"""A sentence that programs can read, too: why it is said, by name, and the names and figures in it.

It is a text, and goes wherever texts go. What shows it in another language takes `reason` and `about` instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LONGEST = 200  # characters of a value that is told beside the sentence
_MOST_NAMED = 10  # of what there is in place of something else


class Sentence(str):
    """A text with its `reason`, and what it is `about`: names, figures, or lists of names."""

    __slots__ = ("about", "reason")

    reason: str
    about: Mapping[str, Any]

    def __new__(cls, text: str, reason: str = "", /, **about: Any) -> Sentence:
        """`about` are the values in the text; None is left out."""
        made = super().__new__(cls, text)
        made.reason = reason
        made.about = {name: _short(value) for name, value in about.items() if value is not None}
        return made


def retold(sentence: object, text: str, /, **about: Any) -> str:
    """The same in other words, as with a name before it; a plain text stays one."""
    if not isinstance(sentence, Sentence):
        return text
    return Sentence(text, sentence.reason, **{**sentence.about, **about})


def without_value(text: str) -> str:
    """The same without the `value` that it is about, as it may be stored for others to read."""
    if not isinstance(text, Sentence) or "value" not in text.about:
        return text
    value = text.about["value"]
    told = text.replace(repr(value), "a value")
    if str(value) in told:
        told = "a value does not fit"
    return Sentence(told, text.reason, **{name: about for name, about in text.about.items() if name != "value"})


def sentence_of(error: BaseException) -> str:
    """What an error says, as it was raised: `str(error)` would keep nothing but the text."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, Sentence) and str(error) == first else str(error)


def members_of(text: str) -> dict[str, Any]:
    """What JSON has of a sentence beside its text; nothing of a plain one."""
    if not isinstance(text, Sentence):
        return {}
    return ({"reason": text.reason} if text.reason else {}) | {"about": dict(text.about)}


def sentence_from(said: Mapping[str, Any]) -> str:
    """The sentence in what `members_of` wrote beside a `detail`."""
    if "about" not in said:
        return str(said["detail"])
    return Sentence(str(said["detail"]), str(said.get("reason", "")), **said["about"])


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)[:_LONGEST]
    return [str(item)[:_LONGEST] for item in value[:20]] if isinstance(value, list | tuple) else value


def count_of(number: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2,000 rows`: `number` of what is called `one`; `many` is the word for several without a mere s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed_words(words: Iterable[str]) -> str:
    """`NA`, `NA or None`, `#N/A, NA or None`."""
    *first, last = sorted(words)
    return f"{', '.join(first)} or {last}" if first else last


def those_there_are(names: Sequence[str]) -> str:
    """A sentence of what there is, with a blank before it, where a name is none of these; nothing if these are many."""
    if not 1 <= len(names) <= _MOST_NAMED:
        return ""
    shown = ", ".join(name[:100] for name in names)
    return f" There is {shown}." if len(names) == 1 else f" There are {shown}."
