"""Tables in files: what people's CSV, Excel and Parquet say, or why they cannot be read and what to type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from cli.table_import import ImportOptions, open_table
from model.files.arrow_table import ArrowTable
from shared.files import numbers
from shared.files.csv_table import CsvTable
from shared.files.refusals import CellsRefused, TableRefused
from shared.files.table import MOST_NAME_BYTES, converted_rows, infer, parse_types
from shared.uploads.table_order import TableOrder
from worker.uploads.kinds import name_by_kind
from worker.uploads.opening import open_file


def read(
    path: Path, *, types: Sequence[str] = (), decimal: str | None = None, **options: Any
) -> tuple[dict[str, str], list[list[str]]]:
    table = open_table(path, ImportOptions(**options))
    columns, count = infer(table, parse_types(types), decimal=decimal, most_name_bytes=MOST_NAME_BYTES)
    rows = [values for _, values in converted_rows(table, columns)]
    assert len(rows) == count
    return {column.name: column.type for column in columns}, rows


def read_csv(tmp_path: Path, content: str | bytes, **options: Any) -> tuple[dict[str, str], list[list[str]]]:
    path = tmp_path / "people.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, **options)


def refused(tmp_path: Path, content: str | bytes, **options: Any) -> str:
    with pytest.raises(TableRefused) as caught:
        read_csv(tmp_path, content, **options)
    return str(caught.value)


FRENCH = "no;prime;actif;né le;ville\n1;1 234,50;Oui;31/12/1999;Évreux\n2;\u00a0;Non;01/02/2000;\n"

# A column's values, its type, and how PostgreSQL gets them.
COLUMNS = [
    (["1", "2", ""], "integer", ["1", "2", ""]),
    (["1", "NA", "null"], "integer", ["1", "", ""]),
    (["+5", "-6", "0"], "integer", ["5", "-6", "0"]),
    (["1", "3000000000"], "bigint", ["1", "3000000000"]),
    (["1", "99999999999999999999"], "numeric", ["1", "99999999999999999999"]),
    (["007", "12"], "text", ["007", "12"]),
    (["00.5", "1"], "text", ["00.5", "1"]),
    (["1.5", "2"], "double precision", ["1.5", "2"]),
    (["0.1234567890123456789", "2"], "numeric", ["0.1234567890123456789", "2"]),
    (["1e3", "2.5E-4"], "double precision", ["1e3", "2.5E-4"]),
    (["1,5", "2"], "double precision", ["1.5", "2"]),
    (["1,5", "1.234,5"], "double precision", ["1.5", "1234.5"]),
    (["1,234.5", "2"], "double precision", ["1234.5", "2"]),
    (["1,234,567", "1,234"], "integer", ["1234567", "1234"]),
    (["1 234", "1\u00a0234", "1\u202f234\u202f567"], "integer", ["1234", "1234", "1234567"]),
    (["12 34", "1"], "text", ["12 34", "1"]),
    (["0,125", "12,375"], "double precision", ["0.125", "12.375"]),
    (["-0.125", "12.375"], "double precision", ["-0.125", "12.375"]),
    (["0 125", "1"], "text", ["0 125", "1"]),
    (["1 234,5", "12,25"], "double precision", ["1234.5", "12.25"]),
    (["Oui", "non", "OUI"], "boolean", ["true", "false", "true"]),
    (["Yes", "No", ""], "boolean", ["true", "false", ""]),
    (["TRUE", "false"], "boolean", ["true", "false"]),
    (["Vrai", "Faux"], "boolean", ["true", "false"]),
    (["NO", "NO"], "text", ["NO", "NO"]),
    (["yes", "non"], "text", ["yes", "non"]),
    (["Oui", "Non", "Peut-être"], "text", ["Oui", "Non", "Peut-être"]),
    (["2024-02-29", ""], "date", ["2024-02-29", ""]),
    (["2024-02-29", "2023-02-29"], "text", ["2024-02-29", "2023-02-29"]),
    (["31/12/2024", "01/02/2024"], "date", ["2024-12-31", "2024-02-01"]),
    (["12/31/2024", "01/02/2024"], "date", ["2024-12-31", "2024-01-02"]),
    (["31.12.2024"], "date", ["2024-12-31"]),
    (["2024-01-01 10:00", "2024-01-01T10:00:01.5"], "timestamp", ["2024-01-01 10:00:00", "2024-01-01 10:00:01.500000"]),
    (
        ["2024-01-01T10:00:00Z", "2024-01-01 10:00+02"],
        "timestamptz",
        ["2024-01-01 10:00:00+00:00", "2024-01-01 10:00:00+02:00"],
    ),
    (["2024-01-01", "2024-01-02 10:30", ""], "timestamp", ["2024-01-01", "2024-01-02 10:30:00", ""]),
    (["01/02/2024 10:30", "31/12/2024"], "timestamp", ["2024-02-01 10:30:00", "2024-12-31"]),
    (["2024-01-01", "2024-01-02 10:30Z"], "text", ["2024-01-01", "2024-01-02 10:30Z"]),
    (["2024-01-02 10:30Z", "2024-01-01"], "text", ["2024-01-02 10:30Z", "2024-01-01"]),
    (["2024-01-01", "2024-01-02 10:30", "x"], "text", ["2024-01-01", "2024-01-02 10:30", "x"]),
    (["31/12/2024 23:59"], "timestamp", ["2024-12-31 23:59:00"]),
    (["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], "uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    (["", ""], "text", ["", ""]),
    (["a", "NA"], "text", ["a", "NA"]),
    (["1", "x"], "text", ["1", "x"]),
    (["Infinity", "1"], "text", ["Infinity", "1"]),
    (["0x10", "1_0"], "text", ["0x10", "1_0"]),
    (["١", "٢"], "text", ["١", "٢"]),
    ([" 5", "6 "], "integer", ["5", "6"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "expected"), COLUMNS)
def test_a_type_is_what_all_values_have(tmp_path: Path, values: list[str], kind: str, expected: list[str]) -> None:
    """Seen over the whole file; each value reaches PostgreSQL as what it means."""
    content = "n\tv\n" + "".join(f"{n}\t{value}\n" for n, value in enumerate(values))
    types, rows = read_csv(tmp_path, content)
    assert types["v"] == kind
    assert [row[1] for row in rows] == expected


def test_the_last_line_counts(tmp_path: Path) -> None:
    """A type is not guessed from the beginning."""
    content = "n,v\n" + "".join(f"{n},{n}\n" for n in range(20_000)) + "20000,x\n"
    assert read_csv(tmp_path, content)[0] == {"n": "integer", "v": "text"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_french_file_in_each_encoding(tmp_path: Path, encoding: str, ends: str) -> None:
    """Separator, decimal comma, words, days and encoding are understood together."""
    content = FRENCH.replace("\n", ends).encode(encoding)
    types, rows = read_csv(tmp_path, content, encoding="cp1252" if encoding == "cp1252" else None)
    assert types == {"no": "integer", "prime": "double precision", "actif": "boolean", "né le": "date", "ville": "text"}
    assert rows == [["1", "1234.50", "true", "1999-12-31", "Évreux"], ["2", "", "false", "2000-02-01", ""]]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separators_are_seen(tmp_path: Path, mark: str) -> None:
    """Also where fields in quotes hold them all."""
    content = mark.join(["a", "b"]) + "\n" + mark.join(["1", '"x,;|\ty ""z"""']) + "\n"
    assert read_csv(tmp_path, content)[1] == [["1", 'x,;|\ty "z"']]


def test_the_value_that_makes_a_text_of_a_column_is_known(tmp_path: Path) -> None:
    """So that a number that was misspelled is not overlooked; a column of words has none."""
    path = tmp_path / "people.csv"
    path.write_text("id;p;city\n1;1,5;Paris\n2;12 %;Lyon\n3;2,5;Nice\n")
    columns, _ = infer(CsvTable(path), {})
    assert [(column.type, column.odd) for column in columns] == [
        ("integer", None),
        ("text", (3, "12 %")),
        ("text", None),
    ]


def test_words_that_pandas_reads_as_missing_are_counted_in_texts(tmp_path: Path) -> None:
    """They are words there, wherever they stand; `text:nulls` makes them null. In numbers they are null anyhow."""
    path = tmp_path / "people.csv"
    path.write_text("id;city;n;zip\n1;NA;NA;\n2;Lyon;5;12x\n3;#N/A;None;NA\n4;;6;n/a\n5;NA;7;None \n")
    columns, _ = infer(CsvTable(path), {})
    assert [(column.type, column.nulls, column.kept_words) for column in columns] == [
        ("integer", 0, {}),
        ("text", 1, {"NA": 2, "#N/A": 1}),
        ("integer", 2, {}),
        ("text", 1, {"NA": 1, "n/a": 1}),
    ]
    columns, _ = infer(CsvTable(path), parse_types(["city=text:nulls", "zip=text:NULLS"]))
    assert [(column.nulls, column.kept_words) for column in columns] == [(0, {}), (4, {}), (2, {}), (3, {})]
    rows = [row for _, row in converted_rows(CsvTable(path), columns)]
    assert [(row[1], row[3]) for row in rows] == [("", ""), ("Lyon", "12x"), ("", ""), ("", ""), ("", "None ")]


@pytest.mark.parametrize(
    ("value", "unlike"), [("31/12/24", "Lyon"), ("1 234,50 €", "n. c."), ("-€5", "x"), ("12 %", "x"), ("CHF 10", "x")]
)
def test_a_text_that_looks_like_numbers_or_days_is_told(tmp_path: Path, value: str, unlike: str) -> None:
    """It stays text, and the first such value is known; codes and words have none."""
    path = tmp_path / "people.csv"
    path.write_text(f"id;v;code;city\n1;{value};0042;{unlike}\n2;{value};0043;{unlike}\n")
    columns, _ = infer(CsvTable(path), {})
    assert [(column.type, column.odd) for column in columns[1:]] == [
        ("text", (2, value)),
        ("text", None),
        ("text", None),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("date:dmy", ["31/12/24", "01.02.69", "1-2-68"], ["2024-12-31", "1969-02-01", "2068-02-01"]),
        ("date:dmy", ["3/4/2021", "3/4/21"], ["2021-04-03", "2021-04-03"]),
        ("date:mdy", ["12/31/99", "2024-01-02"], ["1999-12-31", "2024-01-02"]),
        ("timestamp:dmy", ["31/12/24 23:59"], ["2024-12-31 23:59:00"]),
        ("numeric:€", ["1 234,50 €", "€2", "-3,5€", "-€4", "5"], ["1234.50", "2", "-3.5", "-4", "5"]),
        ("numeric:$", ["$1,234.50", "-$2"], ["1234.50", "-2"]),
        ("integer:eur", ["12 EUR", "1 000 EUR"], ["12", "1000"]),
        ("double precision:%", ["12,5 %", "3%"], ["12.5", "3"]),
    ],
)  # fmt: skip
def test_years_of_two_digits_and_signs_are_read_where_that_is_said(
    tmp_path: Path, kind: str, values: list[str], expected: list[str]
) -> None:
    """Years by the rule of POSIX; the sign is taken away, the decimal mark is seen."""
    content = "n\tv\n" + "".join(f"{n}\t{value}\n" for n, value in enumerate(values))
    types, rows = read_csv(tmp_path, content, types=[f"v={kind}"])
    assert types["v"] == kind.partition(":")[0]
    assert [row[1] for row in rows] == expected


@pytest.mark.parametrize("decimal", [None, ","])
def test_one_value_that_is_no_number_does_not_spoil_its_column(tmp_path: Path, decimal: str | None) -> None:
    """Where the column's type is settled, how its other values are written is seen still; the one is the only fault."""
    path = tmp_path / "people.csv"
    path.write_text("id;p;d\n1;12 %;31/01/2026\n2;1,5;n. c.\n3;9616,08;01/02/2026\n")
    table = CsvTable(path)
    columns, _ = infer(table, parse_types(["p=double precision", "d=date"]), decimal=decimal)
    with pytest.raises(CellsRefused) as caught:
        list(converted_rows(table, columns))
    assert [(fault.line, fault.column) for fault in caught.value.problems] == [(2, "p"), (3, "d")]


def test_a_decimal_mark_that_was_said_counts_where_no_value_has_it(tmp_path: Path) -> None:
    """They are refused: to read them by the other mark would be to know better."""
    path = tmp_path / "people.csv"
    path.write_text("id;p\n1;9616.08\n")
    table = CsvTable(path)
    columns, _ = infer(table, parse_types(["p=double precision"]), decimal=",")
    with pytest.raises(CellsRefused, match=r"--decimal \. reads it as one"):
        list(converted_rows(table, columns))


def test_a_separator_that_the_file_states_counts(tmp_path: Path) -> None:
    """Excel's first line `sep=;` is no header."""
    assert read_csv(tmp_path, "sep=;\r\na;b,c\r\n1;x\r\n") == ({"a": "integer", "b,c": "text"}, [["1", "x"]])


REFUSALS = [
    ("a;b\n1;é\n".encode("cp1252"), {}, "line 2: is not UTF-8 text", "--encoding cp1252"),
    ("a,b\n1,2\n3\n", {}, "line 3: has 1 field, the header has 2", "--separator"),
    ('a,b\n1,"x\n2,y\n', {}, "line 2: a quote opens here and is not closed", ""),
    ('a,b\n1,x"y\n', {}, "line 2: a quote stands inside a field", ""),
    ("a,b\r1,2\r", {}, "line 1: a carriage return stands alone", ""),
    ("a,a\n1,2\n", {}, "the column 'a' stands twice", ""),
    ("a,\n1,2\n", {}, "column 2 has no name", ""),
    (f"a,{'x' * 64}\n1,2\n", {}, "the name of column 2 is too long", ""),
    ("", {}, "the file is empty", ""),
    ("a;p\n1;1,234\n", {}, "line 2: p: '1,234' may be a fraction or thousands", "--decimal ,"),
    ("id;salary\n1;1.234\n2;12.500\n", {}, "line 2: salary: '1.234' may be a fraction or thousands", "--decimal ,"),
    ("id;p;q\n1;1.234;x\n2;2;y\n", {"types": ["p=double precision"]}, "line 2: p: '1.234' may be", "--decimal ."),
    ("a;p\n1;1.5\n2;1,5\n", {}, "line 3: p: '1,5' is written with another decimal mark", "--types 'p=text'"),
    ("a;d\n1;01/02/2024\n", {}, "every value can be read day first and month first", "--types 'd=date:dmy'"),
    ("a,t\n1,2024-01-01 10:00\n2,2024-01-01 10:00Z\n", {}, "some have none", "--types 't=text'"),
    ("a,b\n1,x\n", {"types": ["c=text"]}, "--types c: the file has no such column", ""),
    ("a,b\n1,x\n", {"types": ["b=money"]}, "--types b=money: write it as COLUMN=TYPE", ""),
    ("a,b\n1,x\n2,5\n", {"types": ["b=integer"]}, "1 value does not fit: line 2: b: 'x' is not a number", ""),
    ("a,b\n1,40000\n", {"types": ["b=smallint"]}, "40000 is not between -32768 and 32767", ""),
    ("a;b\n1;5 $\n", {"types": ["b=numeric:€"]}, "'5 $' is not a number", ""),
    ("a;b\n1;5 €\n", {"types": ["b=numeric"]}, "'5 €' is not a number", "--types COLUMN=numeric:€"),
    ("a;b\n1;31/12/24\n", {"types": ["b=date"]}, "'31/12/24' is no day", "--types COLUMN=date:dmy"),
    ("a;b\n1;31/13/24\n", {"types": ["b=date:dmy"]}, "'31/13/24' is no day", ""),
    ("a;b\n1;31/02/2024\n", {"types": ["b=date:dmy"]}, "'31/02/2024' has a day that there is not, read as dd/mm/", ""),
    ("a;b\n1;2024-02-31\n", {"types": ["b=date"]}, "'2024-02-31' has a day that there is not, read as yyyy-mm-", ""),
    ("a;b\n1;31/02/2024 9:0\n", {"types": ["b=timestamp:dmy"]}, "'31/02/2024 9:0' is no moment", ""),
    ("a;b\n1;31/02/2024 09:00\n", {"types": ["b=timestamp:dmy"]}, "'31/02/2024 09:00' has a day that there is", ""),
    ("a,b\n1,x\n", {"types": ["b=numeric:dmy"]}, "--types b=numeric:dmy: write it as COLUMN=TYPE", ""),
    ("a,b\n1,x\n", {"types": ["b=date:€"]}, "--types b=date:€: write it as COLUMN=TYPE", ""),
    ("a,b\n1,1.5\n", {"types": ["b=integer"]}, "'1.5' is not a whole number", ""),
    ("a,b;c\n1,2;3\n", {}, "separated in more than one way", "--separator ';'"),
    ("a,b\n1,x\n", {"encoding": "klingon"}, "--encoding klingon: there is no such encoding", ""),
    ("a,b\n1,\0\n", {}, "line 2: holds a NUL", ""),
    (b"PK\x03\x04", {}, "is a zip archive and no CSV", ".xlsx"),
]


@pytest.mark.parametrize(("content", "options", "expected", "advice"), REFUSALS)
def test_what_is_not_understood_says_where_and_what_to_type(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], expected: str, advice: str
) -> None:
    """The line, the column, and the words of the command line."""
    found = refused(tmp_path, content, **options)
    assert expected in found
    assert advice in found


def test_the_words_that_a_refusal_advises_help(tmp_path: Path) -> None:
    """What it says to type makes the same file readable."""
    assert read_csv(tmp_path, "a;p\n1;1,234\n", decimal=",")[1] == [["1", "1.234"]]
    assert read_csv(tmp_path, "a;p\n1;1,234\n", decimal=".")[1] == [["1", "1234"]]
    assert read_csv(tmp_path, "a;p\n1;1.234\n", decimal=",")[1] == [["1", "1234"]]
    assert read_csv(tmp_path, "a;p\n1;1.234\n", decimal=".")[1] == [["1", "1.234"]]
    assert read_csv(tmp_path, "a;d\n1;01/02/2024\n", types=["d=date:dmy"])[1] == [["1", "2024-02-01"]]
    assert read_csv(tmp_path, "a;d\n1;01/02/2024\n", types=["d=date:mdy"])[1] == [["1", "2024-01-02"]]
    assert read_csv(tmp_path, "a;p\n1;1.5\n2;1,5\n", types=["p=text"])[1] == [["1", "1.5"], ["2", "1,5"]]
    assert read_csv(tmp_path, "a,b;c\n1,2;3\n", separator=";")[0] == {"a,b": "double precision", "c": "integer"}
    assert read_csv(tmp_path, "a,zip\n1,75001\n", types=["zip=text"])[0]["zip"] == "text"


@pytest.mark.parametrize(
    "content",
    [
        "a;p;q\n1;1.234;0.5\n",
        "a;p\n1;1.234\n2;1.2345\n",
        "a;p\n1;1.234\n2;0.125\n",
        "a,p\n1,1.234\n",
        "a\tp\n1\t1.234\n",
    ],
)
def test_thousands_are_asked_for_only_where_nothing_tells_the_decimal_mark(tmp_path: Path, content: str) -> None:
    """A point that is a decimal mark elsewhere in the file is one here, and so it is without semicolons."""
    types, rows = read_csv(tmp_path, content)
    assert (types["p"], rows[0][1]) == ("double precision", "1.234")


def test_all_values_that_do_not_fit_are_counted_and_twenty_named(tmp_path: Path) -> None:
    """By line and column."""
    path = tmp_path / "people.csv"
    path.write_text("a,b\n" + "1,x\n" * 50)
    table = CsvTable(path)
    columns, _ = infer(table, parse_types(["b=integer"]))
    with pytest.raises(CellsRefused) as caught:
        list(converted_rows(table, columns))
    assert caught.value.count == 50
    assert [fault.line for fault in caught.value.problems] == list(range(2, 22))


def test_a_workbook_is_read(tmp_path: Path) -> None:
    """Cells with types of their own, empty rows, dates, and codes kept as texts."""
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (
        ["no", "Prime", "actif", "né", "vu", "code", "vide"],
        [1, 1.5, True, dt.date(1999, 12, 31), dt.datetime.fromisoformat("2024-01-01T10:30"), "007", None],
        [],
        [2, None, False, None, None, "12"],
    ):
        sheet.append(row)
    path = tmp_path / "people.xlsx"
    book.save(path)
    types, rows = read(path)
    assert list(types.values()) == ["integer", "double precision", "boolean", "date", "timestamp", "text", "text"]
    assert rows == [
        ["1", "1.5", "true", "1999-12-31", "2024-01-01 10:30:00", "007", ""],
        ["2", "", "false", "", "", "12", ""],
    ]


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    """By its content, and before it is unpacked where that would be large."""
    path = tmp_path / "people.xlsx"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(TableRefused, match="no workbook of Excel"):
        open_table(path, ImportOptions())
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 50_000_000)
    with pytest.raises(TableRefused, match="50 MB unpacked"):
        open_table(path, ImportOptions())
    old = tmp_path / "people.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(TableRefused, match=r"save it as \.xlsx"):
        open_table(old, ImportOptions())


def arrow_table() -> pa.Table:
    return pa.table(
        {
            "no": pa.array([1, 2], pa.int16()),
            "big": pa.array([2**40, None], pa.int64()),
            "x": pa.array([0.1, float("nan")], pa.float64()),
            "amount": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "ok": pa.array([True, None]),
            "day": pa.array([dt.date(2024, 12, 31), None]),
            "seen": pa.array([dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
            "city": pa.array(["Évreux", None]).dictionary_encode(),
            "code": pa.array(["007", "1,5"]),
        }
    )


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_files_with_types_keep_them(tmp_path: Path, ending: str) -> None:
    """Nothing is guessed: a text of digits stays a text."""
    path = tmp_path / f"people.{ending}"
    parquet.write_table(arrow_table(), path) if ending == "parquet" else feather.write_feather(arrow_table(), path)
    types, rows = read(path)
    assert list(types.values()) == [
        "smallint", "bigint", "double precision", "numeric", "boolean", "date", "timestamptz", "text", "text",
    ]  # fmt: skip
    assert rows[0] == [
        "1",
        "1099511627776",
        "0.1",
        "1.50",
        "true",
        "2024-12-31",
        "2024-01-01 10:00:00+00:00",
        "Évreux",
        "007",
    ]
    assert rows[1] == ["2", "", "", "", "", "", "", "", "1,5"]


@pytest.mark.parametrize("batches", [1, 3])
def test_a_stream_whose_writer_died_is_refused(tmp_path: Path, batches: int) -> None:
    """Between two batches: what is there can be read, and is not all of it."""
    path = tmp_path / "people.arrow"
    with path.open("wb") as file, ipc.new_stream(file, arrow_table().schema) as writer:
        for _ in range(batches):
            writer.write_table(arrow_table())
        dead = file.tell()
    assert sum(1 for _ in ArrowTable(path).cells()) == 2 * batches
    path.write_bytes(path.read_bytes()[:dead])
    with pytest.raises(TableRefused, match=r"is not whole: the stream lacks its end\. Write it anew"):
        list(ArrowTable(path).cells())


def test_a_type_that_no_column_can_have_is_named(tmp_path: Path) -> None:
    """With its column."""
    path = tmp_path / "people.parquet"
    parquet.write_table(pa.table({"no": [1], "tags": [["a"]]}), path)
    with pytest.raises(TableRefused, match="column tags: a list"):
        open_table(path, ImportOptions())


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_a_number_is_what_it_was_in_either_style(value: Decimal) -> None:
    """With thousands set apart or not."""
    english = f"{value:,.3f}"
    french = english.replace(",", "\u202f").replace(".", ",")
    german = english.translate(str.maketrans(",.", ".,"))
    for text, mark in ((english, "."), (f"{value:.3f}", "."), (french, ","), (german, ",")):
        assert numbers.fits(text, mark)
        assert Decimal(numbers.plain(text, mark)) == value


def test_only_what_becomes_a_column_of_postgresql_has_a_name_of_63_bytes_at_most(tmp_path: Path) -> None:
    """A table of answers' features may have longer names: nothing of PostgreSQL is called by them."""
    path = tmp_path / "long.csv"
    path.write_text(f"id,{'ü' * 40}\n1,2\n")
    columns, _ = infer(CsvTable(path), {})
    assert columns[1].name == "ü" * 40
    with pytest.raises(TableRefused, match="63 bytes are the most"):
        infer(CsvTable(path), {}, most_name_bytes=63)
    order = TableOrder(uuid4(), has_features=True)
    assert open_file(name_by_kind(path), order).table.names[1] == "ü" * 40


def test_any_character_may_be_said_to_separate_and_is_named_where_a_line_does_not_fit(tmp_path: Path) -> None:
    """One that nobody would guess, too; more than one character is refused."""
    path = tmp_path / "odd.csv"
    path.write_text("id#age\n1#2#3\n")
    with pytest.raises(TableRefused, match="is the separator #"):
        list(CsvTable(path, separator="#").rows())
    with pytest.raises(TableRefused, match="one character"):
        CsvTable(path, separator="##")
    path.write_text("id\tage\n1\t2\n")
    assert CsvTable(path, separator="tab").names == ["id", "age"]
