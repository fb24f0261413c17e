"""Characters that XML cannot hold, as workbooks write them: `_x0001_`, and `_x005F_x0001_` for a text that looks so."""

from __future__ import annotations

import re

# A carriage return XML can hold, but whoever reads it gets a line feed.
_UNFIT = r"\x00-\x08\x0b-\x1f\ufffe\uffff"
# Also before a character that is written so itself: `_x0041` and one of these would be read as `A`.
_TO_ESCAPE = re.compile(rf"[{_UNFIT}]|_(?=x[0-9A-Fa-f]{{4}}[_{_UNFIT}])")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_HALVES = range(0xD800, 0xE000)  # of characters: no text has one alone


def escaped(text: str) -> str:
    """A text as the XML of a workbook has it."""
    return _TO_ESCAPE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unescaped(text: str) -> str:
    """The text that the XML of a workbook means."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if code in _HALVES else chr(code)
