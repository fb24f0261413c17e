"""Names and notes that people give to things, and that terminals, logs and pages show to others."""

from __future__ import annotations

import re
import unicodedata

_JOINER = "\u200d"
_JOINED = re.compile("(?<=(.))\u200d(?=(.))")
_LOOKS = "\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # that a picture is in colour, and skin tones


def refuse_unprintable(what: str, value: str, longest: int) -> str | None:
    """What is wrong with a text that is shown to others, in a sentence; None where it is as it should be.

    Control characters move a terminal's cursor, and marks of direction (U+202E) turn a line around: a name with one
    reads as another name.
    """
    if len(value) > longest:
        return f"{what} may have at most {longest} characters; this one has {len(value):,}."
    sign = unprintable_in(value)
    if sign is not None:
        return f"{what} may hold no control characters; this one has {sign!r}."
    return None


def unprintable_in(value: str) -> str | None:
    """The first sign that must not be shown; None where there is none.

    A joiner (U+200D) may stand between two pictures, where it makes one of them, as of a family. Elsewhere it is a
    sign that nobody sees, by which two names look the same.
    """
    seen = _JOINED.sub(_without_joiner, value)
    return next((character for character in seen if not character.isprintable()), None)


def _without_joiner(found: re.Match[str]) -> str:
    return "" if (found[1] in _LOOKS or _is_picture(found[1])) and _is_picture(found[2]) else _JOINER


def _is_picture(sign: str) -> bool:
    return unicodedata.category(sign) == "So"
