"""The name that was probably meant, among those that there are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_LEAST_WORD = 4  # letters: shorter ones are like too many others
_BETWEEN = re.compile(r"[\W_]+")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """One that differs in case, accents or a few letters, or has a word that does; None where none is near."""
    names = list(known)
    match = get_close_matches(name, names, n=1)
    if match:
        return match[0]
    words: dict[str, str] = {}
    for each in names:
        whole = _plain(each)
        parts = [part for part in _BETWEEN.split(whole) if len(part) >= _LEAST_WORD]
        for word in (whole, *parts):
            words.setdefault(word, each)
    match = get_close_matches(_plain(name), words, n=1)
    return words[match[0]] if match else None


def _plain(name: str) -> str:
    """Without accents, and in small letters."""
    letters = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()
