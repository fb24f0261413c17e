"""An upload as a table, by what its first bytes are: Excel, Parquet, Arrow, or CSV as people have it."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.files.arrow_table import ArrowTable
from model.files.excel_table import ExcelTable, sheet_names
from shared.files.csv_table import CsvTable
from shared.files.refusals import TableRefused
from shared.files.table import check_names
from shared.sentences import Sentence
from shared.uploads.table_order import TableOrder
from worker.uploads.kinds import kind_of

_PIECE = 1 << 20
Table = ArrowTable | ExcelTable | CsvTable


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A table, and how its file is written."""

    table: Table
    format: str
    sheet: str | None = None
    separator: str | None = None
    encoding: str | None = None


def open_file(path: Path, order: TableOrder) -> OpenedFile:
    """The table in a file that is called as its kind is, see `name_by_kind`. Raises TableRefused."""
    kind = kind_of(path)
    opened = _OPENERS[kind](path, order)
    check_names(opened.table.names)
    return opened


def sheets_of(path: Path) -> list[str]:
    """The sheets of a workbook; none of another file, or of one that cannot be read."""
    try:
        return sheet_names(path) if kind_of(path) == "xlsx" else []
    except TableRefused:
        return []


def _excel(path: Path, order: TableOrder) -> OpenedFile:
    table = ExcelTable(path, sheet=order.sheet)
    return OpenedFile(table, "xlsx", sheet=table.sheet)


def _arrow(path: Path, _: TableOrder) -> OpenedFile:
    return OpenedFile(ArrowTable(path), "arrow")


def _parquet(path: Path, _: TableOrder) -> OpenedFile:
    return OpenedFile(ArrowTable(path), "parquet")


def _old_excel(_: Path, __: TableOrder) -> OpenedFile:
    text = "workbooks of the old format .xls cannot be read; save it as .xlsx or as CSV"
    raise TableRefused(Sentence(text, "old_workbook"))


def _csv(path: Path, order: TableOrder) -> OpenedFile:
    encoding = order.encoding or _encoding_of(path)
    table = CsvTable(path, separator=order.separator, encoding=encoding)
    return OpenedFile(table, "csv", separator=table.separator, encoding=table.encoding)


def _encoding_of(path: Path) -> str | None:
    """Windows' own where a text is no UTF-8, as most such files of Western Europe are; it is said what was taken."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return None
        file.seek(0)
        try:
            while piece := file.read(_PIECE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return None


_OPENERS: dict[str, Callable[[Path, TableOrder], OpenedFile]] = {
    "xlsx": _excel,
    "xls": _old_excel,
    "parquet": _parquet,
    "arrow": _arrow,
    "csv": _csv,
}
