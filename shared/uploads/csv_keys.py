"""The client keys in CSV: of the columns that a header names, or of a single column without a header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from shared.sources.key_types import CITEXT
from shared.uploads import csv_records
from shared.uploads.headings import find_columns, is_like_a_heading, missing_columns
from shared.uploads.key_lines import BLANKS, RECORDS_A_STEP, KeyCollector, KeyLines, highest_integer, integer_lines
from shared.uploads.keys import ClientKey, KeyColumn, KeyForm, KeyRefused
from shared.uploads.refusals import LineFault, UploadRefused

TEXTS = frozenset({"text", "varchar", "char", *CITEXT})  # of which blanks are a part
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # but tabs and line ends, which quotes can hold
_ELSEWHERE = "take it away, or send the keys as NDJSON, Parquet, Arrow or Excel, where it counts"


class CsvKeys:
    """Reads block after block. The first record decides which columns there are."""

    def __init__(self, form: KeyForm) -> None:
        self._form = form
        self._highest = highest_integer(form)
        self._columns: tuple[int, ...] | None = None  # None until the first record was seen
        self._width = 0

    def end_of_records(self, block: bytes) -> int:
        """See RecordEnds."""
        return csv_records.end_of_records(block)

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:
        """See RecordEnds."""
        return csv_records.fault_of_endless(block, line)

    def read(self, line: int, block: bytes) -> Iterator[KeyLines]:
        """The keys of whole records, the first of which stands on line `line`. Raises UploadRefused."""
        if self._width == 1 and self._highest and (plain := integer_lines(block, self._highest)) is not None:
            yield plain
            return
        text = csv_records.require_strict(block, line)
        if self._columns is None:
            blank, header = self._read_header(text, line)
            yield KeyLines(b"", 0, blank)
            text = "\n".join(text.split("\n")[blank + header :])
            line += blank + header
        quick = self._quick(text)
        if quick is not None:
            yield quick
        else:
            yield from self._one_by_one(text, line)

    def _read_header(self, text: str, line: int) -> tuple[int, int]:
        """Find the columns from the first record that is not blank. Returns how many lines are blank, and a header."""
        for first, record in csv_records.records(text, line):
            if csv_records.is_blank(record):
                continue
            self._width = len(record)
            named = find_columns(record, self._form, first)
            if named is not None:
                self._columns = named
                return first - line, 1
            is_key = self._is_key(record[0]) and not is_like_a_heading(record[0], self._form)
            if self._width > 1 or len(self._form.columns) > 1 or not is_key:
                raise UploadRefused([missing_columns(record, self._form, first)])
            self._columns = (0,)
            return first - line, 0
        return text.count("\n"), 0

    def _is_key(self, text: str) -> bool:
        """Whether a first line is a key, or at least nothing that looks like names of columns."""
        try:
            self._form.parse_text(text.strip(BLANKS))
        except KeyRefused:
            return not any(letter.isalpha() or letter in ";\t|" for letter in text)
        return True

    def _quick(self, text: str) -> KeyLines | None:
        """The keys where every record is as it should be; None where a closer look is needed."""
        if not (self._highest and self._columns):
            return None
        column, width = self._columns[0], self._width
        # The other cells are let go at once: kept, they would cost the half of it again.
        cells: list[Any] = [row[column] if len(row) == width else None for row in csv_records.plain_records(text)]
        blank_lines = 0
        if None in cells:
            rows = [row for row in csv_records.plain_records(text) if not csv_records.is_blank(row)]
            blank_lines = len(cells) - len(rows)
            cells = [row[column] for row in rows if len(row) == width]
            if len(cells) != len(rows):
                return None
        joined = "\n".join(cells)
        if "\r" in joined:  # inside quotes, and so no line end
            return None
        plain = integer_lines(f"{joined}\n".encode(), self._highest)
        if plain is None or plain.blank_lines or plain.count != len(cells):
            return None
        return replace(plain, blank_lines=blank_lines)

    def _one_by_one(self, text: str, line: int) -> Iterator[KeyLines]:
        keys = KeyCollector(self._form.storage)
        for number, (first, record) in enumerate(csv_records.records(text, line), 1):
            self._look_at(keys, first, record)
            if number % RECORDS_A_STEP == 0:
                yield keys.part()
        yield keys.last_part()

    def _look_at(self, keys: KeyCollector, line: int, record: list[str]) -> None:
        if csv_records.is_blank(record):
            keys.blank()
            return
        if len(record) != self._width:
            detail = f"has {fields(len(record))} where the first record has {self._width}"
            keys.refuse(line, detail, "wrong_fields")
            return
        cells = [record[column] for column in self._columns or ()]
        if not all(cell.strip(BLANKS) for cell in cells):
            keys.refuse(line, f"has no {', '.join(column.name for column in self._form.columns)}")
        else:
            keys.take(line, partial(key_of_cells, self._form), cells)


def key_of_cells(form: KeyForm, cells: list[str]) -> ClientKey:
    """The key whose columns are these fields, in key order, without the blanks around them. Raises KeyRefused."""
    cells = [bare_cell(column, cell) for column, cell in zip(form.columns, cells, strict=True)]
    if len(cells) == 1:
        return form.parse_text(cells[0])
    names = [column.name for column in form.columns]
    return form.parse_fields(dict(zip(names, cells, strict=True)))


def bare_cell(column: KeyColumn, cell: str) -> str:
    """A field of a key without the blanks around it. Raises KeyRefused for a text: it may be another key with them.

    So it does for one with a control character.
    """
    bare = cell.strip(BLANKS)
    written = cell.rstrip(" ") if column.type == "char" else cell  # which PostgreSQL fills up with blanks itself
    if column.type not in TEXTS:
        return bare
    if bare != written:
        raise KeyRefused(f"has a blank at an end, and may be another one without it: {_ELSEWHERE}")
    control = _CONTROL.search(bare)
    if control is not None:  # the end of a file of DOS, or bytes that are no text
        raise KeyRefused(f"holds a control character (U+{ord(control[0]):04X}): {_ELSEWHERE}")
    return bare


def fields(count: int) -> str:
    """So many fields, in words."""
    return "1 field" if count == 1 else f"{count} fields"
