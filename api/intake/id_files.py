"""Finding the client id in each line of CSV or NDJSON. Whole pieces are checked at once; only where that fails are
they looked at line by line, to say which line is bad and why.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Protocol

import orjson

from api.http.problems import MOST_FLAWS, Flaw
from api.intake.client_ids import are_client_ids, problem_of_id

_SAFE_DIGITS = 18  # so many digits always fit into a bigint
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_BOM = b"\xef\xbb\xbf"


class BadRows(Exception):
    """Lines that hold no client id: the first twenty of them."""

    def __init__(self, flaws: list[Flaw]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


class RowReader(Protocol):
    """Reads one format."""

    def complete(self, data: bytes) -> int:
        """How many bytes of `data` are whole records; 0 when there is none yet."""

    def read(self, data: bytes) -> bytes:
        """The client ids of whole records, one per line. Raises BadRows."""


def are_plain_ids(lines: bytes) -> bool:
    """Whether these lines, each with its end, are one id each, and nothing that needs a closer look."""
    if lines.translate(None, b"0123456789\n"):
        return False
    if lines.startswith((b"\n", b"0")) or b"\n\n" in lines or b"\n0" in lines:
        return False
    return len(max(lines.split(b"\n"), key=len)) <= _SAFE_DIGITS


def _ids(numbered: Iterable[tuple[int, str | None]]) -> bytes:
    """Ids from (line number, text); None marks a line without one. Raises BadRows."""
    flaws: list[Flaw] = []
    ids: list[str] = []
    for number, text in numbered:
        problem = "has no client_id" if text is None else problem_of_id(text)
        if problem is not None:
            flaws.append(Flaw(f"/line/{number}", "invalid_client_id", f"line {number}: {problem}"))
            if len(flaws) == MOST_FLAWS:
                break
        elif not flaws:
            ids.append(str(int(text or "")))
    if flaws:
        raise BadRows(flaws)
    return "".join(f"{item}\n" for item in ids).encode()


class CsvReader:
    """CSV with commas: the column `client_id` of those that a header names, or a single column without a header."""

    def __init__(self) -> None:
        self._column: int | None = None  # None until the first record was seen
        self._is_single = False
        self._lines = 0

    def complete(self, data: bytes) -> int:
        """Up to the last end of line outside quotes: a quoted field may hold line ends."""
        end = data.rfind(b"\n") + 1
        return 0 if data.count(b'"', 0, end) % 2 else end

    def read(self, data: bytes) -> bytes:
        """See RowReader."""
        newlines = data.count(b"\n")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if self._column is None:
            data = self._read_header(data.removeprefix(_BOM))
            if self._column is None:  # blank lines only
                self._lines += newlines
                return b""
        header_lines = newlines - data.count(b"\n")
        if self._is_single and are_plain_ids(data):
            ids = data
        else:
            ids = self._fast(data) or _ids(self._cells(data, header_lines))
        self._lines += newlines
        return ids

    def _read_header(self, data: bytes) -> bytes:
        """Find the column from the first record; returns what is left to be read as rows."""
        for number, record in _records(data, self._lines):
            cells = [cell.strip().lower() for cell in record]
            if not any(cells):
                continue
            self._is_single = len(cells) == 1
            if "client_id" in cells:
                self._column = cells.index("client_id")
                return b"\n".join(data.split(b"\n")[number - self._lines :])
            if not self._is_single or _is_heading(cells[0]):
                raise BadRows([_missing_column(number, cells)])
            self._column = 0
            return data
        return b""

    def _fast(self, data: bytes) -> bytes | None:
        """The ids where every record is as it should be; None where a closer look is needed."""
        column = self._column or 0
        try:
            records = csv.reader(io.StringIO(data.decode(), newline=""))
            ids = ("\n".join([record[column] for record in records]) + "\n").encode()
        except (ValueError, IndexError, csv.Error):
            return None
        return ids if are_plain_ids(ids) else None

    def _cells(self, data: bytes, header_lines: int) -> Iterator[tuple[int, str | None]]:
        column = self._column or 0
        before = self._lines + header_lines
        for number, record in _records(data, before):
            if any(map(str.strip, record)):  # otherwise a blank line
                cell = record[column].strip() if column < len(record) else ""
                yield number, cell or None


class NdjsonReader:
    """One JSON value per line: a bare id, or an object that has a `client_id`."""

    def __init__(self) -> None:
        self._lines = 0

    def complete(self, data: bytes) -> int:
        """Up to the last end of line."""
        return data.rfind(b"\n") + 1

    def read(self, data: bytes) -> bytes:
        """See RowReader."""
        if not self._lines:
            data = data.removeprefix(_BOM)
        ids = data if are_plain_ids(data) else self._fast(data) or _ids(self._values(data))
        self._lines += data.count(b"\n")
        return ids

    @staticmethod
    def _fast(data: bytes) -> bytes | None:
        """The ids where every line is as it should be; None where a closer look is needed."""
        try:
            values = list(map(orjson.loads, data.splitlines()))
            ids = [value["client_id"] if type(value) is dict else value for value in values]
        except (ValueError, KeyError):
            return None
        return ("\n".join(map(str, ids)) + "\n").encode() if are_client_ids(ids) else None

    def _values(self, data: bytes) -> Iterator[tuple[int, str | None]]:
        for number, line in enumerate(data.split(b"\n"), self._lines + 1):
            if line.strip():
                yield number, _value_text(line)


def _value_text(line: bytes) -> str | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line[:40].decode("utf-8", "replace")
    if type(value) is dict:
        value = value.get("client_id")
    return str(value) if type(value) is int else None if value is None else line[:40].decode("utf-8", "replace")


def _records(data: bytes, before: int) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of their last line, `before` lines having come earlier. Raises BadRows."""
    reader = csv.reader(io.StringIO(_text(data, before), newline=""))
    try:
        for record in reader:
            yield before + reader.line_num, record
    except csv.Error as error:
        number = before + reader.line_num
        raise BadRows([Flaw(f"/line/{number}", "not_csv", f"line {number}: {error}")]) from None


def _text(data: bytes, lines: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = lines + 1 + data.count(b"\n", 0, error.start)
        raise BadRows([Flaw(f"/line/{number}", "not_utf8", f"line {number}: not UTF-8")]) from None


def _is_heading(text: str) -> bool:
    """Whether a line that is no client id looks like the names of columns, or like several values."""
    return any(letter.isalpha() or letter in _OTHER_DELIMITERS for letter in text)


def _missing_column(number: int, cells: list[str]) -> Flaw:
    detail = "the first line must name a column client_id, or every line must be one client id and nothing else"
    found = ",".join(cells)
    others = [name for delimiter, name in _OTHER_DELIMITERS.items() if len(cells) == 1 and delimiter in found]
    hint = f"; separate columns by commas, not by {others[0]}" if others else ""
    return Flaw(f"/line/{number}", "missing_column", f"line {number}: {detail}{hint}; this line is {found[:80]!r}")
