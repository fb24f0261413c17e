"""The sheet of an Excel workbook (.xlsx) that is a table, read row by row with openpyxl."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError  # the error alone: openpyxl reads what workbooks have of XML

from model.files.excel_facts import hidden_facts
from model.files.excel_text import unescaped
from shared.files.refusals import MOST_FAULTS, CellFault, PlacesRefused, TableRefused
from shared.files.typed_text import TypedText
from shared.sentences import Sentence, count_of

MOST_BYTES = 1_000_000_000  # of the workbook's parts when unpacked
MOST_RATIO = 200  # to one: what Excel writes packs 10 to 50 to one
_SMALL = 10_000_000
_UNREADABLE = (zipfile.BadZipFile, zlib.error, ParseError, LookupError, ValueError, OSError, TypeError)


class ExcelTable:
    """A workbook in which one sheet is a table: names in its first row that is not empty.

    Where several sheets that are shown have rows, `sheet` says which. What a person sees and what the file holds must
    be the same: hidden rows, and in the columns that are read merged cells, formulas that were never calculated and
    errors are refused, up to twenty at once.
    """

    known_types: Mapping[str, str] = {}
    may_use_comma = False

    def __init__(self, path: Path, *, sheet: str | None = None) -> None:
        """Raises TableRefused."""
        self._path = path
        _require_bounded(path)
        self.sheet = self._find(sheet)
        header, first = next(self._full_rows(), (0, ()))
        if not first:
            raise TableRefused(
                Sentence(f"{path}: the sheet is empty; its first row must name the columns", "empty_file")
            )
        self.names: Sequence[str] = [_text(cell).strip() for cell in first]
        self._hidden = hidden_facts(path, self._part, names=self.names)
        if of_names := [fact.fault for fact in self._hidden if fact.fault.line <= header]:
            raise PlacesRefused(of_names)

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """See TableFile."""
        for number, row in self.cells():
            yield number, list(map(_text, row))

    def cells(self, wanted: Sequence[str] | None = None) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows with the number of each, as what Excel has in their cells; None for an empty one.

        Of the `wanted` columns in that order, whatever is in the others. Raises PlacesRefused: at once for what the
        sheet hides, at the end or at the twentieth for rows that are too long or hold errors, which are not given.
        """
        width = len(self.names)
        positions = range(width) if wanted is None else [self.names.index(name) for name in wanted]
        self._require_plain(positions)
        wrong: list[CellFault] = []
        rows = self._full_rows()
        next(rows, None)
        for number, row in rows:
            fault = self._fault(number, row, positions)
            if fault is None:
                whole = [*row, *[None] * (width - len(row))]
                yield number, whole if wanted is None else [whole[position] for position in positions]
            else:
                wrong.append(fault)
            if len(wrong) == MOST_FAULTS:
                break
        if wrong:
            raise PlacesRefused(wrong)

    def _require_plain(self, positions: Sequence[int]) -> None:
        """Raises PlacesRefused where the sheet hides something in these columns."""
        found = [
            fact.fault
            for fact in self._hidden
            if fact.columns is None or any(position in fact.columns for position in positions)
        ]
        if found:
            raise PlacesRefused(sorted(found, key=lambda fault: fault.line))

    def _fault(self, number: int, row: Sequence[Any], positions: Sequence[int]) -> CellFault | None:
        """What is wrong with a row where it is read."""
        width = len(self.names)
        if len(row) > width:
            text = f"has {count_of(len(row), 'cell')}, the header has {width}"
            return CellFault(number, None, Sentence(text, "other_width", fields=len(row), wanted=width))
        for position in positions:
            cell = row[position] if position < len(row) else None
            if isinstance(cell, _ErrorCell):
                name = self.names[position]
                text = f"the cell holds an error of Excel, {cell}: correct it, or empty the cell"
                return CellFault(number, name, Sentence(text, "excel_error", name=name, value=cell))
        return None

    def _full_rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows that are not empty, each with its number and without the empty cells at its end."""
        with _open(self._path) as book:
            yield from _full_rows(book[self.sheet])

    def _find(self, sheet: str | None) -> str:
        """The name of the sheet that is meant, and where its part is in the archive. Raises TableRefused."""
        with _open(self._path) as book:
            if sheet is not None and sheet not in book.sheetnames:
                text = f"--sheet {sheet}: the workbook has {', '.join(book.sheetnames)[:500]}"
                raise TableRefused(Sentence(text, "no_such_sheet", sheet=sheet, sheets=book.sheetnames))
            shown = [one for one in book.worksheets if one.sheet_state == "visible"]
            full = [one for one in shown if sheet is None and next(_full_rows(one), None)]
            if len(full) > 1:
                names = ", ".join(one.title for one in full)[:500]
                text = f"the workbook has several sheets: {names}. Say which one is meant: --sheet NAME"
                raise TableRefused(Sentence(text, "several_sheets", sheets=[one.title for one in full]))
            found = book[sheet] if sheet is not None else (full or shown or book.worksheets)[0]
            self._part: str = found._worksheet_path  # noqa: SLF001 - else its relations would have to be read again
            title: str = found.title
            return title


def sheet_names(path: Path) -> list[str]:
    """The sheets of a workbook, also hidden ones, whatever the file is called. Raises TableRefused."""
    _require_bounded(path)
    with path.open("rb") as file, _open(file) as book:
        return [one.title for one in book.worksheets]


@contextmanager
def _open(file: Path | IO[bytes]) -> Iterator[Any]:
    from model.files.excel_book import open_book  # noqa: PLC0415 - half a second of openpyxl

    try:
        with closing(open_book(file)) as book:
            yield book
    except _UNREADABLE as error:  # openpyxl reads a sheet when its rows are asked for
        raise TableRefused(f"{file} cannot be read as a workbook of Excel ({type(error).__name__})") from None


def _full_rows(sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """The rows that are not empty, each with its number and without the empty cells at its end."""
    sheet.reset_dimensions()  # what the file says of its size may be wrong
    for number, cells in enumerate(sheet.iter_rows(), 1):
        row = list(map(_value, cells))
        width = max((n for n, cell in enumerate(row, 1) if cell is not None and cell != ""), default=0)
        if width:
            yield number, row[:width]


class _ErrorCell(str):
    """An error of Excel: `#N/A` where a look-up found nothing, not the text that somebody typed."""

    __slots__ = ()


def _value(cell: Any) -> Any:
    """What Excel has in a cell."""
    value = cell.value
    if not isinstance(value, str):
        return value
    return _ErrorCell(value) if cell.data_type == "e" else unescaped(value)


def _require_bounded(path: Path) -> None:
    """Refuse a bomb by what the archive says of its parts; what is unpacked beyond that zipfile refuses."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError):
        text = f"{path} is no workbook of Excel (.xlsx); save it as one, or as CSV"
        raise TableRefused(Sentence(text, "no_workbook")) from None
    size = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    if size > MOST_BYTES or (size > _SMALL and size > MOST_RATIO * max(packed, 1)):
        raise TableRefused(f"{path} would be {size / 1e6:,.0f} MB unpacked: save it as CSV")


def _text(cell: Any) -> str:
    """A cell as the text that its type is guessed from."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return TypedText("true" if cell else "false")
    if isinstance(cell, float):
        return TypedText(str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell))
    if isinstance(cell, datetime):
        is_day = cell.time() == time()
        return TypedText(cell.date().isoformat() if is_day else cell.isoformat(sep=" "))
    return TypedText(cell.isoformat() if isinstance(cell, date) else cell)
