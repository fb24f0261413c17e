"""What stands on paper: the text of a PDF as Chromium writes it, page by page.

No reader of PDF in general. Chromium writes plain objects, compressed streams, texts as hexadecimal glyph numbers, and
beside each font a table from glyphs to Unicode.
"""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
_FONT = re.compile(rb"/(F\d+) (\d+) 0 R")
_GLYPHS = re.compile(rb"/(F\d+) [\d.]+ Tf|<([0-9A-F]+)>")  # a font is chosen, or glyphs are drawn
_MANY = re.compile(rb"<(\w+)> <(\w+)> <(\w+)>")
_ONE = re.compile(rb"<(\w+)> <(\w+)>")


def printed_pages(document: bytes) -> list[str]:
    """The text of each page in the order in which it is drawn, without any white space: a line may end anywhere."""
    objects = {int(number): body for number, body in _OBJECT.findall(document)}
    pages = [body for body in objects.values() if b"/Type /Page\n" in body]
    return [_text(objects, page) for page in pages]


def _text(objects: dict[int, bytes], page: bytes) -> str:
    tables = {name: _table(objects, int(number)) for name, number in _FONT.findall(page)}
    said: list[str] = []
    table: dict[int, str] = {}
    for font, glyphs in _GLYPHS.findall(_stream(objects, page, rb"Contents")):
        if font:
            table = tables[font]
        else:
            numbers = (int(glyphs[at : at + 4], 16) for at in range(0, len(glyphs), 4))
            said += (table.get(number, "") for number in numbers)
    return "".join("".join(said).split())


def _table(objects: dict[int, bytes], font: int) -> dict[int, str]:
    """What the glyphs of a font stand for; none of those that are pictures."""
    if b"/ToUnicode" not in objects[font]:
        return {}
    cmap = _stream(objects, objects[font], rb"ToUnicode")
    found: dict[int, str] = {}
    for kind, body in re.findall(rb"beginbf(char|range)\n(.*?)endbf", cmap, re.DOTALL):
        for row in body.splitlines():
            if kind == b"char" and (one := _ONE.fullmatch(row)):
                found[int(one[1], 16)] = bytes.fromhex(one[2].decode()).decode("utf-16-be")
            elif many := _MANY.fullmatch(row):
                first, last, letter = (int(part, 16) for part in many.groups())
                found |= {glyph: chr(letter + glyph - first) for glyph in range(first, last + 1)}
    return found


def _stream(objects: dict[int, bytes], owner: bytes, name: bytes) -> bytes:
    """The stream that an object names, unpacked."""
    number = re.search(rb"/" + name + rb" (\d+) 0 R", owner)
    stream = _STREAM.search(objects[int(number[1])]) if number else None
    return zlib.decompress(stream[1]) if stream else b""
