"""How people and programs write true and false, wherever a text becomes a flag: files, uploads and filters."""

from __future__ import annotations

FLAG_PAIRS = (("true", "false"), ("yes", "no"), ("oui", "non"), ("vrai", "faux"), ("ja", "nein"))
SHOWN = "true or false (yes/no, oui/non, 1/0)"
# t and f are PostgreSQL's own, as its COPY writes them.
_PAIRS = (*FLAG_PAIRS, ("t", "f"), ("1", "0"))
_FLAGS = {word: value for pair in _PAIRS for word, value in zip(pair, (True, False), strict=True)}


def flag_of(text: str) -> bool | None:
    """What a text says; None where it says neither."""
    return _FLAGS.get(text.casefold())
