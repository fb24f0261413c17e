"""A workbook as openpyxl reads it row by row, with its texts as they are written: see `excel_text`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from openpyxl.cell.text import Text
from openpyxl.reader.excel import ExcelReader
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse


def open_book(file: Path | IO[bytes]) -> Any:
    """The workbook, with the values that its formulas had. Raises what openpyxl raises of a file that is none."""
    reader = _Reader(file, read_only=True, data_only=True)
    reader.read()
    return reader.wb


class _Reader(ExcelReader):  # type: ignore[misc] # openpyxl has no types
    """Keeps shared texts as they are written.

    Openpyxl leaves out each `x005F_` of them, after which the text `_x0041_` cannot be told from the letter A.
    """

    def read_strings(self) -> None:
        """Called by `read`."""
        part = self.package.find(SHARED_STRINGS)
        if part is not None:
            with self.archive.open(part.PartName[1:]) as source:
                self.shared_strings = list(_texts(source))


def _texts(source: IO[bytes]) -> Iterator[str]:
    for _, element in iterparse(source):
        if element.tag == f"{{{SHEET_MAIN_NS}}}si":
            yield Text.from_tree(element).content
            element.clear()
