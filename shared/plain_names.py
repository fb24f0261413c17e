"""Names and notes that people give to things, and that terminals, logs and pages show to others."""

from __future__ import annotations


def refuse_unprintable(what: str, value: str, longest: int) -> str | None:
    """What is wrong with a text that is shown to others, in a sentence; None where it is as it should be.

    Control characters move a terminal's cursor, and marks of direction (U+202E) turn a line around: a name with one
    reads as another name.
    """
    if len(value) > longest:
        return f"{what} may have at most {longest} characters; this one has {len(value):,}."
    if not value.isprintable():
        sign = next(character for character in value if not character.isprintable())
        return f"{what} may hold no control characters; this one has {sign!r}."
    return None
