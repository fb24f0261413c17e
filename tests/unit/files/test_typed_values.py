"""Values that Excel, Parquet and Arrow type are read as they are, whatever is said of how texts are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from cli.table_import import ImportOptions, open_table
from shared.files.refusals import TableRefused
from shared.files.table import converted_rows, infer, parse_types

ENDINGS = ["xlsx", "parquet", "arrow"]
# What no type is given for, and what a second import gives.
GIVEN = [[], ["no=integer", "rate=double precision", "fee=double precision"]]


def write(path: Path, columns: dict[str, Sequence[Any]]) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    elif path.suffix == ".arrow":
        feather.write_feather(pa.table(columns), path)
    else:
        book = openpyxl.Workbook()
        for row in (list(columns), *zip(*columns.values(), strict=True)):
            book.active.append(row)
        book.save(path)
    return path


def read(path: Path, types: Sequence[str] = (), decimal: str | None = None) -> tuple[dict[str, str], dict[str, Any]]:
    """Types and values, by column."""
    table = open_table(path, ImportOptions())
    columns, _ = infer(table, parse_types(types), decimal=decimal)
    rows = [values for _, values in converted_rows(table, columns)]
    found = dict(zip(table.names, map(list, zip(*rows, strict=True)), strict=True))
    return {column.name: column.type for column in columns}, found


@pytest.mark.parametrize("decimal", [None, ",", "."])
@pytest.mark.parametrize("types", GIVEN)
@pytest.mark.parametrize("ending", ENDINGS)
def test_typed_numbers_have_no_decimal_mark(tmp_path: Path, ending: str, types: list[str], decimal: str | None) -> None:
    """A first import and a second one take 12.375 for itself, whatever `--decimal` says of texts, and ask nothing."""
    fees = ["1.5", "2.25"] if decimal == "." else ["1,5", "2,25"]
    columns: dict[str, Sequence[Any]] = {"no": [1, 2], "rate": [0.125, 12.375], "fee": fees}
    kinds, found = read(write(tmp_path / f"people.{ending}", columns), types, decimal)
    assert (kinds["rate"], found["rate"]) == ("double precision", ["0.125", "12.375"])
    if kinds["fee"] != "text":
        assert (kinds["fee"], found["fee"]) == ("double precision", ["1.5", "2.25"])


def test_numbers_and_texts_of_one_column_are_read_each_in_its_way(tmp_path: Path) -> None:
    """Also where a text and a number look alike: `--decimal ,` makes 1234 of the text alone."""
    path = write(tmp_path / "people.xlsx", {"no": [1, 2, 3, 4], "p": [1.234, "1.234", "2,5", 1.234]})
    for types in ([], ["p=double precision"]):
        assert read(path, types, ",") == (
            {"no": "integer", "p": "double precision"},
            {"no": ["1", "2", "3", "4"], "p": ["1.234", "1234", "2.5", "1.234"]},
        )


def test_texts_that_are_open_are_asked_for_still(tmp_path: Path) -> None:
    """A number beside them says nothing of how they are written."""
    path = write(tmp_path / "people.xlsx", {"no": [1, 2], "p": [1.5, "1,234"]})
    with pytest.raises(TableRefused, match="line 3: p: '1,234' may be a fraction or thousands"):
        read(path)


def test_a_typed_value_of_another_kind_makes_a_text_or_is_refused(tmp_path: Path) -> None:
    """As before: a day among numbers is no number."""
    path = write(tmp_path / "people.xlsx", {"no": [1, 2, 3], "p": [1.5, dt.date(2024, 1, 2), 2]})
    assert read(path)[1]["p"] == ["1.5", "2024-01-02", "2"]
    with pytest.raises(TableRefused, match="line 3: p: '2024-01-02' is not a number"):
        read(path, ["p=double precision"], ",")


def test_midnight_is_a_moment_among_moments(tmp_path: Path) -> None:
    """Excel has one number for a day and its midnight; a column of days alone is one of days."""
    midnight, later = dt.datetime.fromisoformat("2024-01-01"), dt.datetime.fromisoformat("2024-01-02T10:30")
    path = write(tmp_path / "people.xlsx", {"seen": [midnight, later], "born": [midnight, midnight]})
    assert read(path) == (
        {"seen": "timestamp", "born": "date"},
        {"seen": ["2024-01-01", "2024-01-02 10:30:00"], "born": ["2024-01-01", "2024-01-01"]},
    )
