"""Output that never ends a command: whatever the terminal cannot show is shown in other letters."""

from __future__ import annotations

import codecs
import io
import sys

HANDLER = "predictq.plain"
# What our own texts and boxes use beyond ASCII; the rest becomes a question mark.
PLAIN = str.maketrans({
    "✓": "+", "✗": "x", "→": "->", "…": "...", "–": "-", "—": "-", "≥": ">=", "≤": "<=", "×": "x", "µ": "u", "−": "-",
    "“": '"', "”": '"', "’": "'", "━": "-", "╸": "-", "╺": "-",
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"), **dict.fromkeys("─═", "-"), **dict.fromkeys("│║", "|"),
})  # fmt: skip


def make_output_safe() -> None:
    """Let standard output and standard error take any text, in a terminal of any encoding."""
    codecs.register_error(HANDLER, _in_other_letters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not what a test has put there
            stream.reconfigure(errors=HANDLER)


def _in_other_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(letter if letter.isascii() else "?" for letter in text), error.end
