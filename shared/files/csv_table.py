"""CSV as people have it: any usual separator and encoding. What is not exactly CSV is refused with its line."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared.files.refusals import TableRefused
from shared.sentences import Sentence
from shared.uploads import csv_records
from shared.uploads.blocks import BLOCK_BYTES, Blocks
from shared.uploads.refusals import LineFault, UploadRefused

SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = {
    "utf-8": "utf-8-sig",
    "utf8": "utf-8-sig",
    "utf-16": "utf-16",
    "cp1252": "cp1252",
    "windows-1252": "cp1252",
}
_NAMES = {",": ",", ";": ";", "\t": "\\t", "|": "|"}
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PIECE = 1 << 16
_SEEN_RECORDS = 200  # from which the separator is told
_BLANKS = " \t"
_STATED = re.compile(r"sep=([^\r\n\"])\r?\n")


class CsvTable:
    """A CSV file. Its first record that is not blank names the columns."""

    known_types: Mapping[str, str] = {}

    def __init__(self, path: Path, *, separator: str | None = None, encoding: str | None = None) -> None:
        """Reads the beginning of the file. `separator` is one character, or `tab`. Raises TableRefused."""
        self._path = path
        separator = _given_separator(separator)
        self.encoding = _encoding(path, encoding)
        self.separator = separator or ","
        beginning = self._beginning()
        stated = _STATED.match(beginning)  # Excel writes its separator into a line of its own
        self._skipped = 1 if stated else 0
        if separator is None:
            self.separator = stated[1] if stated else _separator(beginning)
        _, first = next(self._records(), (0, []))
        self.names: Sequence[str] = [name.strip(_BLANKS) for name in first]
        if not first:
            raise TableRefused(
                Sentence(f"{path}: the file is empty; its first line must name the columns", "empty_file")
            )

    @property
    def may_use_comma(self) -> bool:
        """See TableFile. Semicolons separate where commas are decimal marks: `1.234` are thousands there."""
        return self.separator == ";"

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """See TableFile."""
        records = self._records()
        next(records, None)
        width = len(self.names)
        for line, record in records:
            if len(record) != width:
                fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
                mark = _NAMES.get(self.separator, self.separator)
                text = f"line {line}: has {fields}, the header has {width}. Correct the line"
                text += f" (is the separator {mark}? --separator tells another)"
                raise TableRefused(Sentence(text, "other_width", fields=len(record), wanted=width, separator=mark))
            yield line, record

    def end_of_records(self, block: bytes) -> int:
        """See RecordEnds."""
        return csv_records.end_of_records(block)

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:
        """See RecordEnds."""
        return csv_records.fault_of_endless(block, line, self.separator)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """All records that are not blank."""
        blocks = Blocks(self)
        try:
            for piece in self._pieces():
                for line, block in blocks.feed(piece):
                    yield from self._of_block(line, block)
            for line, block in blocks.finish():
                yield from self._of_block(line, block)
        except UploadRefused as refused:
            raise TableRefused(f"nothing was imported: {refused}") from None

    def _of_block(self, line: int, block: bytes) -> Iterator[tuple[int, list[str]]]:
        text = csv_records.require_strict(block, line, self.separator)
        for first, record in csv_records.records(text, line, self.separator):
            if first > self._skipped and not csv_records.is_blank(record):
                yield first, record

    def _pieces(self) -> Iterator[bytes]:
        """The file in UTF-8."""
        decoder = codecs.getincrementaldecoder(self.encoding)()
        lines = 1
        with self._path.open("rb") as file:
            while True:
                piece = file.read(_PIECE)
                try:
                    text = decoder.decode(piece, final=not piece)
                except UnicodeDecodeError as error:
                    raise TableRefused(self._undecodable(error, lines)) from None
                lines += text.count("\n")
                yield text.encode("utf-8", "surrogatepass")
                if not piece:
                    return

    def _undecodable(self, error: UnicodeDecodeError, lines: int) -> str:
        mark = "\n".encode("utf-16-le") if self.encoding == "utf-16" else b"\n"
        line = lines + bytes(error.object[: error.start]).count(mark)
        name = "UTF-8" if self.encoding.startswith("utf-8") else self.encoding
        advice = "--encoding cp1252 reads files of Windows" if name == "UTF-8" else "--encoding names another"
        text = f"line {line}: is not {name} text. Save the file as UTF-8, or say what it is: {advice}"
        return Sentence(text, "other_encoding", encoding=name)

    def _beginning(self) -> str:
        """So many whole lines as a block holds."""
        text = ""
        for piece in self._pieces():
            text += piece.decode("utf-8", "replace")
            if len(text) >= BLOCK_BYTES:
                return text[: text.rfind("\n") + 1] or text
        return text


def _given_separator(given: str | None) -> str | None:
    separator = {"\\t": "\t", "tab": "\t"}.get(given or "", given or None)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise TableRefused(f"--separator {given}: one character, such as ';' or '\\t'")
    return separator


def _encoding(path: Path, given: str | None) -> str:
    """Python's name of the encoding. Raises TableRefused."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"PK\x03\x04"):
        raise TableRefused(f"{path} is a zip archive and no CSV; a workbook of Excel must be called something.xlsx")
    if given is None:
        return "utf-16" if start.startswith(_UTF16_MARKS) else "utf-8-sig"
    try:
        return ENCODINGS.get(given.lower()) or codecs.lookup(given).name
    except LookupError:
        raise TableRefused(f"--encoding {given}: there is no such encoding; try utf-8, utf-16 or cp1252") from None


def _separator(beginning: str) -> str:
    """The one that cuts each record of the beginning into as many fields. Raises TableRefused where there are two."""
    widths = {mark: _widths(beginning, mark) for mark in SEPARATORS}
    even = [mark for mark, found in widths.items() if len(set(found)) == 1 and found[0] > 1]
    if not even:  # some line is wrong: the header decides, and the line will be named
        even = [mark for mark, found in widths.items() if found and found[0] > 1]
        even = sorted(even, key=lambda mark: -widths[mark][0])[:1]
    if len(even) > 1:
        marks = " and ".join(f"--separator '{_NAMES[mark]}'" for mark in even)
        text = f"line 1: the columns may be separated in more than one way; say which: {marks}"
        raise TableRefused(Sentence(text, "open_separator", marks=[_NAMES[mark] for mark in even]))
    return even[0] if even else ","


def _widths(beginning: str, mark: str) -> list[int]:
    widths = []
    try:
        for record in csv.reader(beginning.splitlines(keepends=True), delimiter=mark):
            if record and any(cell.strip() for cell in record):
                widths.append(len(record))
            if len(widths) == _SEEN_RECORDS:
                break
    except csv.Error:
        return widths
    return widths
