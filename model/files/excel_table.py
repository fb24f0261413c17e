"""The first sheet of an Excel workbook (.xlsx), read row by row with openpyxl."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from shared.files.refusals import TableRefused

MOST_BYTES = 1_000_000_000  # of the workbook's parts when unpacked
MOST_RATIO = 200  # to one: what Excel writes packs 10 to 50 to one
_SMALL = 10_000_000


class ExcelTable:
    """A workbook whose first sheet is a table: names in its first row that is not empty."""

    known_types: Mapping[str, str] = {}

    def __init__(self, path: Path, *, sheet: str | None = None) -> None:
        """Raises TableRefused."""
        self._path, self._sheet = path, sheet
        _require_bounded(path)
        _, first = next(self._full_rows(), (0, ()))
        if not first:
            raise TableRefused(f"{path}: the sheet is empty; its first row must name the columns")
        self.names: Sequence[str] = [_text(cell).strip() for cell in first]

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """See TableFile."""
        rows = self._full_rows()
        next(rows, None)
        width = len(self.names)
        for number, row in rows:
            if len(row) > width:
                raise TableRefused(f"line {number}: has {len(row)} cells, the header has {width}")
            cells = [*map(_text, row), *[""] * (width - len(row))]
            wrong = next((n for n, cell in enumerate(row) if isinstance(cell, str) and cell in _ERRORS), None)
            if wrong is not None:
                raise TableRefused(
                    f"line {number}: {self.names[wrong]}: the cell holds an error of Excel, {row[wrong]}"
                )
            yield number, cells

    def _full_rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows that are not empty, each with its number and without the empty cells at its end."""
        import openpyxl  # noqa: PLC0415 - half a second that other files can do without

        try:
            book = openpyxl.load_workbook(self._path, read_only=True, data_only=True)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError, TypeError) as error:
            raise TableRefused(f"{self._path} cannot be read as a workbook of Excel: {error}") from None
        try:
            if self._sheet is not None and self._sheet not in book.sheetnames:
                raise TableRefused(f"--sheet {self._sheet}: the workbook has {', '.join(book.sheetnames)[:500]}")
            sheet = book[self._sheet] if self._sheet is not None else book.worksheets[0]
            sheet.reset_dimensions()  # what the file says of its size may be wrong
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                width = max((n for n, cell in enumerate(row, 1) if cell is not None and cell != ""), default=0)
                if width:
                    yield number, row[:width]
        finally:
            book.close()


_ERRORS = frozenset({"#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"})  # #N/A is a missing value


def _require_bounded(path: Path) -> None:
    """Refuse a bomb by what the archive says of its parts; what is unpacked beyond that zipfile refuses."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError):
        raise TableRefused(f"{path} is no workbook of Excel (.xlsx); save it as one, or as CSV") from None
    size = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    if size > MOST_BYTES or (size > _SMALL and size > MOST_RATIO * max(packed, 1)):
        raise TableRefused(f"{path} would be {size / 1e6:,.0f} MB unpacked: save it as CSV")


def _text(cell: Any) -> str:
    """A cell as the text that its type is guessed from."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, datetime):
        is_day = cell.time() == time()
        return cell.date().isoformat() if is_day else cell.isoformat(sep=" ")
    if isinstance(cell, date):
        return cell.isoformat()
    return str(cell)
