"""Words of a user's CSV in our own words: column names and booleans. Pure, so that any reader can use it."""

from __future__ import annotations

import re

BOOLEAN_WORDS = {
    "yes": True, "no": False, "true": True, "false": False, "1": True, "0": False, "t": True, "f": False,
}  # fmt: skip

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = re.compile(r"[\s.\-_]+")


def column_name(header: str) -> str:
    """A CSV header in snake_case: `FirstName`, `First Name` and `first_name` are one column."""
    words = _WORD_START.sub("_", header.strip("\ufeff \t\"'"))
    return _SEPARATORS.sub("_", words).lower()


def parse_boolean(word: str) -> bool:
    """Yes/No, true/false, t/f or 1/0 in any case, as a bool. Raises ValueError for any other word."""
    try:
        return BOOLEAN_WORDS[word.strip().lower()]
    except KeyError:
        raise ValueError(f"expected one of Yes, No, true, false, 1, 0; got {word[:80]!r}") from None
