"""Words of a user's CSV in our own words: column names and booleans."""

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
