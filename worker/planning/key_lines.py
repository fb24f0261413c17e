"""Keys as lines of COPY's text format, each an element of an array: read, and made canonical."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from shared.sources.keys import KeyForm

CanonicalLine: TypeAlias = Callable[[bytes], bytes]


def canonical_line(form: KeyForm) -> CanonicalLine:
    """What makes the line of a key canonical. PostgreSQL writes all types so but citext, which it leaves as it is.

    Its own lower() follows the database's locale, and so would give keys that nobody else finds.
    """
    if not form.has_citext:
        return as_it_is
    if not form.is_composite:
        # What is escaped are no letters, and the letters that escape are small ones.
        return lambda line: line.lower() if line.isascii() else form.of_source(line.decode()).encode()
    return lambda line: _line(form.of_source(key_text(line)))


def key_text(line: bytes) -> str:
    """The key in a line."""
    text = _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), line.decode())
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text


def _line(text: str) -> bytes:
    """The line of a JSON array, in which there are no control characters that COPY would escape."""
    element = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{element}"'.replace("\\", "\\\\").encode()


def as_it_is(line: bytes) -> bytes:
    """The same line: the key is canonical."""
    return line


_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
