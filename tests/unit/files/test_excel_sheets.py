"""Sheets as programs other than Excel write them, and texts as Excel itself writes them: nothing is lost in silence."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from model.files.excel_table import ExcelTable
from shared.files.refusals import PlacesRefused, TableRefused

PART = "xl/worksheets/sheet1.xml"
NAMES = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>no</t></is></c><c r="B1" t="inlineStr"><is><t>city</t></is></c></row>'
)


def sheet(path: Path, rows: str) -> Path:
    """A workbook with these rows of XML under the names `no` and `city`."""
    good = path.parent / "good.xlsx"
    book = openpyxl.Workbook()
    book.save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for part in source.namelist():
            content = source.read(part).decode()
            if part == PART:
                before, _, after = content.partition("<sheetData></sheetData>")

                content = f"{before}<sheetData>{NAMES}{rows}</sheetData>{after}"
            target.writestr(part, content)
    return path


def row(number: int | None, *cells: str) -> str:
    """A row with words in the cells named."""
    attribute = "" if number is None else f' r="{number}"'
    return f"<row{attribute}>" + "".join(f'<c r="{ref}" t="str"><v>x</v></c>' for ref in cells) + "</row>"


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([2, 2], "line 2: the file has this row after row 2: open it in Excel"),
        ([3, 2, 4], "line 2: the file has this row after row 3: open it in Excel"),
        ([3, None, 4], "line 4: the file has this row after row 4: open it in Excel"),
        ([2, 1], "line 1: the file has this row after row 2: open it in Excel"),
    ],
)
def test_rows_that_repeat_or_fall_are_refused(tmp_path: Path, numbers: Sequence[int | None], told: str) -> None:
    """Else the later ones are lost without a word. A row without a number is the next."""
    written = "".join(row(number, f"A{number or 4}") for number in numbers)
    with pytest.raises(PlacesRefused) as refused:
        list(ExcelTable(sheet(tmp_path / "a.xlsx", written)).cells(["no"]))
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize("refs", [("B2", "A2"), ("A2", "A2"), ("AA2", "Z2"), ("A2", "C2", "B2")])
def test_cells_out_of_order_are_refused(tmp_path: Path, refs: Sequence[str]) -> None:
    """Whatever columns are read: the cells that get lost are others."""
    table = ExcelTable(sheet(tmp_path / "a.xlsx", row(2, *refs)))
    with pytest.raises(PlacesRefused, match=rf"line 2: .*the cell {refs[-1]} after another to the right of it, or tw"):
        list(table.cells(["no"]))


def test_rows_and_cells_in_order_are_read_with_their_gaps(tmp_path: Path) -> None:
    """Also where a row or a cell does not say which it is, and AA comes after Z."""
    bare = "<row><c/><c t='str'><v>y</v></c></row>"
    table = ExcelTable(sheet(tmp_path / "a.xlsx", row(3, "A3") + bare + row(None, "B5") + row(9, "A9", "B9")))
    assert list(table.cells()) == [(3, ["x", None]), (4, [None, "y"]), (5, [None, "x"]), (9, ["x", "x"])]
    book = openpyxl.Workbook()
    for values in ([f"c{number}" for number in range(60)], list(range(60))):
        book.active.append(values)
    book.save(tmp_path / "wide.xlsx")
    assert list(ExcelTable(tmp_path / "wide.xlsx").cells(["c26", "c59"])) == [(2, [26, 59])]


@pytest.mark.parametrize(
    "rows",
    [
        "<row r='2'><c r='A2'></row>",
        "<row r='x'><c r='A2'><v>1</v></c></row>",
        "<row r='2'><c r='A2' t='s'><v>99</v></c></row>",
        "<row r='2'><c r='A2'><v>one</v></c></row>",
        "<row r='2'><c r='A2' t='b'><v>yes</v></c></row>",
    ],
)
def test_a_sheet_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path, rows: str) -> None:
    """As the file's fault, by the reader of rows as by the one of what it hides."""
    path = sheet(tmp_path / "a.xlsx", rows)
    with pytest.raises(TableRefused, match="cannot be read as a workbook of Excel"):
        list(ExcelTable(path).cells())
