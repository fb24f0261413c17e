"""Strict CSV: where records end, and whether they are exactly records.

A field is either without any quote and line end, or all of it stands in quotes, with each quote in it doubled. A record
ends with LF or CR LF. Python's csv module reads what has passed here; it would take much else without a word.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from functools import cache

from shared.uploads.blocks import BLOCK_BYTES
from shared.uploads.refusals import LineFault, UploadRefused

_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')
_ZIP = b"PK\x03\x04"
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh")  # gzip, zstd, xz and bzip2
IS_COMPRESSED = "this is compressed: do not compress the file, send it as it was before"
_LOOKALIKES = (
    (_ZIP, "this is no text but a zip archive, perhaps an Excel file: save it as CSV in UTF-8"),
    (b"\xff\xfe", "this is UTF-16: save it as CSV in UTF-8"),
    (b"\xfe\xff", "this is UTF-16: save it as CSV in UTF-8"),
    (b"PAR1", "this is a Parquet file: save it as CSV in UTF-8"),
    *((beginning, IS_COMPRESSED) for beginning in COMPRESSED),
)


def end_of_records(block: bytes) -> int:
    """How many bytes are whole records: up to the last line end outside quotes. 0 when there is none."""
    end = block.rfind(b"\n") + 1
    if not block.count(b'"', 0, end) % 2:
        return end
    outside_and_inside = block[:end].split(b'"')  # by turns; the last one lies inside
    for index in range(len(outside_and_inside) - 1, -1, -1):
        part = outside_and_inside[index]
        newline = part.rfind(b"\n") if index % 2 == 0 else -1
        if newline >= 0:
            return end - len(part) + newline + 1
        end -= len(part) + 1
    return 0


def fault_of_endless(block: bytes, line: int, delimiter: str = ",") -> LineFault:
    """Why no record ends in a block that is as long as a record may be.

    A quote in the wrong place swallows the records after it, so it is looked for first.
    """
    fault = first_fault(block, line, delimiter)
    if "is not closed" in fault.detail:
        return LineFault(fault.line, "not_csv", f"{fault.detail} within {BLOCK_BYTES:,} bytes")
    if "no end" in fault.detail:
        return LineFault(line, "record_too_long", f"this record has more than {BLOCK_BYTES:,} bytes")
    return fault


def require_strict(block: bytes, line: int, delimiter: str = ",") -> str:
    """The text of `block`, which begins with line `line`. Raises UploadRefused where it is not exactly records."""
    # The bytes of an archive may be a line as good as any; the other beginnings have bytes that are none, or letters.
    if is_strict(block, delimiter) and not (line == 1 and block.startswith(_ZIP)):
        try:
            return block.decode()
        except UnicodeDecodeError:
            pass
    raise UploadRefused([first_fault(block, line, delimiter)])


def is_strict(block: bytes, delimiter: str = ",") -> bool:
    """Whether `block` is nothing but whole strict records, looked at as bytes. At C speed."""
    if b"\0" in block or not block.endswith(b"\n"):
        return False
    outside = block
    if b'"' in block:
        parts = block.split(b'"')
        if not len(parts) % 2:
            return False
        # What was in quotes leaves one quote; a doubled quote leaves two side by side.
        outside = b'"'.join(parts[::2])
        if not _stand_alone(outside, len(parts) // 2, delimiter) and _stray(delimiter).search(outside):
            return False
    return b"\r" not in outside or outside.count(b"\r") == outside.count(b"\r\n")


def _stand_alone(outside: bytes, quotes: int, delimiter: str) -> bool:
    """Whether each quote has the end of a field or record on both sides; doubled ones have not. By counting."""
    mark = delimiter.encode()
    before = outside.count(mark + b'"') + outside.count(b'\n"') + outside.startswith(b'"')
    after = outside.count(b'"' + mark) + outside.count(b'"\n') + outside.count(b'"\r')
    return before == after == quotes


@cache
def _stray(delimiter: str) -> re.Pattern[bytes]:
    """A quote outside quotes that has something else than a field's or a record's end beside it."""
    mark = re.escape(delimiter.encode())
    return re.compile(rb'(?<=[^%b\n"])"|"(?=[^%b\r\n"])' % (mark, mark))


def first_fault(block: bytes, line: int, delimiter: str = ",") -> LineFault:
    """What is wrong with a block that is not strict, and on which line."""
    if line == 1:
        for beginning, detail in _LOOKALIKES:
            if block.startswith(beginning):
                return LineFault(1, "not_csv", detail)
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        detail = "not UTF-8: save the file as CSV in UTF-8"
        return LineFault(line + block.count(b"\n", 0, error.start), "not_utf8", detail)
    where, detail = _first_misfit(text, delimiter)
    return LineFault(line + text.count("\n", 0, where), "not_csv", detail)


def is_blank(record: list[str]) -> bool:
    """Whether a record is a line without anything, or of blanks alone. An empty field in quotes is a field."""
    return not record or (len(record) == 1 and record[0] != "" and not record[0].strip(" \t"))


def records(text: str, line: int, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The records of a strict text that begins with line `line`, each with the number of its first line.

    An empty line is an empty record.
    """
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True, delimiter=delimiter)
    first = line
    for record in reader:
        yield first, record
        first = line + reader.line_num


def plain_records(text: str, delimiter: str = ",") -> Iterator[list[str]]:
    """The records of a strict text, without their lines."""
    if '"' in text:
        return csv.reader(io.StringIO(text, newline="\n"), strict=True, delimiter=delimiter)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return csv.reader(text.split("\n")[:-1], strict=True, delimiter=delimiter)


@cache
def _field(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    return re.compile(rf'(?:"[^"\0]*(?:""[^"\0]*)*"|[^"\r\n\0{mark}]*)(?:{mark}|\r?\n)')


def _first_misfit(text: str, delimiter: str) -> tuple[int, str]:
    """Where the first field stands that is none, and what is wrong with it."""
    field = _field(delimiter)
    at = 0
    while at < len(text) and (match := field.match(text, at)):
        at = match.end()
    rest = at
    if text.startswith('"', at):
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            return at, "a quote opens here and is not closed"
        if "\0" in quoted[0]:
            return text.index("\0", at), _NUL
        rest = quoted.end()
    else:
        while rest < len(text) and text[rest] not in '"\r\n\0':
            rest += 1
    return rest, _MISFITS.get(text[rest : rest + 1], "text stands after a closing quote")


_NUL = "holds a NUL character, which no text has"
_MISFITS = {
    '"': "a quote stands inside a field that does not begin with one: put the field in quotes, and double the quote",
    "\r": "a carriage return stands alone: end lines with LF or CR LF",
    "\0": _NUL,
    "": "the record has no end",
}
