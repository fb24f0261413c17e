"""Tables that a worker opens: cells with types of their own stay what they are, and what does not fit has its place."""

from __future__ import annotations

import datetime as dt
import re
import sys
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from cli.table_import import ImportOptions, open_table
from shared.files.refusals import TableRefused
from shared.models.feature import FeatureKind, FeatureSpec
from shared.models.signature import Signature
from shared.sentences import Sentence
from shared.sources.keys import KeyColumn, KeyForm
from shared.uploads.cell_values import value_of_cell
from shared.uploads.feature_values import ValueRefused
from shared.uploads.refusals import UploadRefused
from shared.uploads.table_order import TableOrder
from worker.uploads.kinds import name_by_kind
from worker.uploads.matching import match_columns
from worker.uploads.opening import open_file, sheets_of
from worker.uploads.rows import SeenInPart, TableRows, faults_of

SIGNATURE = Signature(
    (
        FeatureSpec("age", FeatureKind.INTEGER),
        FeatureSpec("Prime €", FeatureKind.NUMBER, nullable=True),
        FeatureSpec("city", FeatureKind.CATEGORY),
        FeatureSpec("garage", FeatureKind.BOOLEAN),
        FeatureSpec("since", FeatureKind.DATETIME),
    )
)
TEXT_KEY = KeyForm((KeyColumn("no", "text"),))
NAMES = ["no", "age", "Prime €", "city", "garage", "since"]
ROW = ["007", 41, 12.5, "Évreux", True, dt.datetime.fromisoformat("2024-12-31T10:30")]
FEATURES = {"age": 41, "Prime €": 12.5, "city": "Évreux", "garage": True, "since": "2024-12-31T10:30:00"}


def order(**said: Any) -> TableOrder:
    return TableOrder(UUID(int=1), **{"has_features": True, **said})


def rows_of(path: Path, form: KeyForm = TEXT_KEY, *, tells_values: bool = True, **said: Any) -> list[Any]:
    """Keys and features of a file, whatever its name."""
    copy = path.parent / "upload"
    copy.write_bytes(path.read_bytes())
    asked = order(**said)
    try:
        opened = open_file(name_by_kind(copy), asked)
    except TableRefused as refused:
        raise UploadRefused(faults_of(refused)) from None
    signature = SIGNATURE if asked.has_features else None
    columns = match_columns(opened.table.names, form, signature, asked.columns)
    rows = TableRows(opened, columns, form, signature, asked.decimal, asked.dates, tells_values)
    return [(row.key and row.key.canonical, row.features) for row in rows]


def test_a_look_at_a_long_file_ends_in_time(tmp_path: Path) -> None:
    """What lies beyond is not judged by what was seen: a decimal comma in a late row is no fault of a look."""
    path = tmp_path / "long.csv"
    lines = ["no;Prime €", *(f"{number};1" for number in range(5_000)), "x;1,5"]
    path.write_text("\n".join(lines), encoding="utf-8")
    signature = Signature((FeatureSpec("Prime €", FeatureKind.NUMBER),))

    def rows(seconds: float | None) -> TableRows:
        copy = tmp_path / "upload"
        copy.write_bytes(path.read_bytes())
        opened = open_file(name_by_kind(copy), order())
        columns = match_columns(opened.table.names, TEXT_KEY, signature, {})
        return TableRows(opened, columns, TEXT_KEY, signature, most_seconds=seconds)

    whole, part = rows(None), rows(0.0)
    assert (whole.seen, len(list(whole))) == (None, 5_001)
    assert [row.features for row in whole][-1] == {"Prime €": 1.5}
    assert (part.seen, len(list(part))) == (2_000, 2_000)


def test_a_look_at_a_part_asks_nothing_that_later_rows_tell(tmp_path: Path) -> None:
    """Days up to the twelfth may be months; the file says which, and further down than a look reads."""
    path = tmp_path / "upload"
    lines = ["no;since", *(f"{number};{1 + number % 12:02d}/01/2024" for number in range(5_000)), "x;13/01/2024"]
    path.write_text("\n".join(lines), encoding="utf-8")
    signature = Signature((FeatureSpec("since", FeatureKind.DATETIME),))
    opened = open_file(name_by_kind(path), order())
    columns = match_columns(opened.table.names, TEXT_KEY, signature, {})
    with pytest.raises(SeenInPart):
        TableRows(opened, columns, TEXT_KEY, signature, most_seconds=0.0)
    last = list(TableRows(opened, columns, TEXT_KEY, signature))[-1]
    assert str((last.features or {})["since"]).startswith("2024-01-13")


def workbook(path: Path, rows: Sequence[Sequence[Any]], *, edit: Any = lambda _: None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    edit(book.active)
    book.save(path)
    return path


def test_cells_of_excel_stay_what_they_are(tmp_path: Path) -> None:
    """A text key 007, a date, a number that is whole, an empty cell; columns that nobody needs are left."""
    path = workbook(
        tmp_path / "a.xlsx", [[*NAMES, "note"], [*ROW, "x"], [12, 30, None, 75, False, dt.date(2024, 1, 2)]]
    )
    second = {"age": 30, "Prime €": None, "city": "75", "garage": False, "since": "2024-01-02T00:00:00"}
    assert rows_of(path) == [("007", FEATURES), ("12", second)]


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_cells_of_parquet_and_arrow_stay_what_they_are(tmp_path: Path, kind: str) -> None:
    """An int64 beyond what a double holds, NaN as missing, a dictionary, a decimal; a column of lists is left."""
    whole = 2**53 + 1
    table = pa.table(
        {
            "no": ["007", ""],
            "age": pa.array([whole, 1], pa.int64()),
            "Prime €": pa.array([Decimal("12.50"), None], pa.decimal128(8, 2)),
            "city": pa.array(["", "Évreux"]).dictionary_encode(),
            "garage": [True, False],
            "since": pa.array([ROW[5], ROW[5]], pa.timestamp("us")),
            "tags": [["a"], []],
        }
    ).slice(0, 1)
    path = tmp_path / "a.table"
    if kind == "parquet":
        parquet.write_table(table, path)
    else:
        make = ipc.new_file if kind == "file" else ipc.new_stream
        with path.open("wb") as file, make(file, table.schema) as writer:
            writer.write_table(table)
    assert rows_of(path) == [("007", FEATURES | {"age": whole, "city": ""})]


def test_csv_of_france_is_understood(tmp_path: Path) -> None:
    """Semicolons, decimal commas, thousands, Oui and Non, days first, in Windows-1252; keys as they are written."""
    text = f"{';'.join(NAMES)}\n007;41;12,5;Évreux;Oui;31/12/2024 10:30\n08;30;1 234,5;NA;non;01/02/2024 00:00\n"
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("cp1252"))
    second = {"age": 30, "Prime €": 1234.5, "city": "NA", "garage": False, "since": "2024-02-01 00:00:00"}
    first = FEATURES | {"since": "2024-12-31 10:30:00"}
    assert rows_of(path) == [("007", first), ("08", second)]
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert rows_of(path, has_features=False) == [("007", None), ("08", None)]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("9007199254740993", "9007199254740993 is a whole number of more digits than a double holds"),
        ("1e400", "1e400 is beyond what a double holds"),
        ("12 €", "'12 €' is not a number"),
        ("1.5", "'1.5' is not a number; `decimal` . reads it as one"),
    ],
)
def test_a_number_that_does_not_fit_is_told_in_the_words_of_uploads(tmp_path: Path, number: str, told: str) -> None:
    """Which have no types to say: the model has them."""
    path = tmp_path / "a.csv"
    path.write_text(f"{';'.join(NAMES)}\n007;41;{number};x;Oui;2024-12-31 10:30\n")
    with pytest.raises(UploadRefused) as refused:
        rows_of(path, decimal=",")
    assert str(refused.value) == f"line 2: Prime €: {told}"


def test_a_day_among_moments_does_not_hide_which_comes_first(tmp_path: Path) -> None:
    """The order is seen in the others, and the day is its midnight."""
    path = tmp_path / "a.csv"
    lines = ("007;41;12,5;x;Oui;01/02/2024 10:30", "08;41;12,5;x;Oui;31/12/2024")
    path.write_text("\n".join([";".join(NAMES), *lines]))
    assert [found["since"] for _, found in rows_of(path)] == ["2024-02-01 10:30:00", "2024-12-31"]


DAY_KEY = KeyForm((KeyColumn("no", "date"),))


@pytest.mark.parametrize(("dates", "expected"), [("dmy", "2024-02-01"), ("mdy", "2024-01-02")])
def test_a_key_that_is_a_day_is_read_in_the_order_that_is_said(tmp_path: Path, dates: str, expected: str) -> None:
    """The refusal advises it, and a text beside it in the key stays as it is written."""
    path = tmp_path / "a.csv"
    path.write_text("no\n01/02/2024\n")
    with pytest.raises(UploadRefused, match="`dates` dmy or `dates` mdy"):
        rows_of(path, DAY_KEY, has_features=False)
    assert rows_of(path, DAY_KEY, has_features=False, dates=dates) == [(expected, None)]
    path.write_text("no;name\n01/02/2024;01/02/2024\n")
    pair = KeyForm((KeyColumn("no", "date"), KeyColumn("name", "text")))
    assert rows_of(path, pair, has_features=False, dates=dates) == [(f'["{expected}","01/02/2024"]', None)]


def test_one_key_that_is_no_day_does_not_spoil_the_others(tmp_path: Path) -> None:
    """The order of the others is seen still, and it alone is a fault."""
    path = tmp_path / "a.csv"
    path.write_text("no\n31/12/2024\nx\n01/02/2024\n")
    with pytest.raises(UploadRefused) as refused:
        rows_of(path, DAY_KEY, has_features=False)
    assert [fault.line for fault in refused.value.faults] == [3]


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    """As the caller says; a wrong name is refused with those that there are."""
    path = workbook(tmp_path / "a.xlsx", [["Police", "Âge", *NAMES[2:]], ROW])
    said = {"no": "Police", "age": "Âge"}
    assert rows_of(path, columns=said) == [("007", FEATURES)]
    with pytest.raises(UploadRefused, match="the file has no column 'Age' for age; it has Police, Âge"):
        rows_of(path, columns={"no": "Police", "age": "Age"})
    with pytest.raises(UploadRefused, match="lacks columns for features of the model: age"):
        rows_of(path)
    with pytest.raises(UploadRefused, match=r"no column is called client_id or no; .*`columns` no=NAME"):
        rows_of(path, has_features=False)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: s.merge_cells("A1:B1"), r"line 1: .*: the cells A1:B1 are merged"),
        (lambda s: s.merge_cells("C2:C3"), r"line 2: Prime €: the cells C2:C3 are merged"),
        (lambda s: s.__setitem__("C2", "=1+1"), r"line 2: Prime €: the cell has a formula and no value"),
        (lambda s: setattr(s.row_dimensions[2], "hidden", True), r"line 2: the row is hidden"),
        (lambda s: s.__setitem__("B1", "no"), r"line 1: the column 'no' stands twice"),
        (lambda s: s.__setitem__("B1", None), r"line 1: column 2 has no name"),
        (lambda s: s.__setitem__("B2", "forty"), r"line 2: age must be a whole number; got 'forty'"),
        (lambda s: s.__setitem__("C2", "12,5"), r"line 2: Prime €: the cell is the text '12,5': say its decimal mark"),
        (lambda s: s.__setitem__("F2", "yesterday"), r"line 2: since must be a time without"),
        (lambda s: s.__setitem__("A2", None), r"line 2: no is empty"),
        (lambda s: s.__setitem__("A2", 1.5), r"line 2: no is a number with a fraction"),
        (lambda s: s.__setitem__("C2", "#DIV/0!"), r"line 2: Prime €: the cell holds an error of Excel"),
        (lambda s: s.parent.create_sheet("Other").append(["a"]), r"several sheets: Sheet, Other. Say which .*`sheet`"),
    ],
)
def test_what_a_workbook_hides_or_lacks_is_refused_with_its_place(tmp_path: Path, edit: Any, words: str) -> None:
    """Never read as if it were not there."""
    path = workbook(tmp_path / "a.xlsx", [NAMES, ROW, ROW], edit=edit)
    with pytest.raises(UploadRefused, match=words):
        rows_of(path)


def _spoil(sheet: Any) -> None:
    """What is wrong in a column beside those that are read."""
    sheet["G2"], sheet["G3"] = "=1+1", "#DIV/0!"
    sheet.merge_cells("G3:G4")


def test_what_is_in_a_column_that_nobody_reads_refuses_no_workbook(tmp_path: Path) -> None:
    """Columns that are neither key nor feature are left out, whatever is in them."""
    rows = [[*NAMES, "note"], [*ROW, "a"], [*ROW, "b"], [*ROW, None]]
    path = workbook(tmp_path / "a.xlsx", rows, edit=_spoil)
    assert rows_of(path) == [("007", FEATURES)] * 3


def _hide(sheet: Any) -> None:
    for line in (2, 4):
        sheet[f"C{line}"] = "=1+1"
    sheet.row_dimensions[3].hidden = True


def test_of_a_workbook_twenty_faults_are_told_at_once(tmp_path: Path) -> None:
    """What is hidden together, and then errors of Excel beside values that do not fit, by line."""
    hidden = workbook(tmp_path / "hidden.xlsx", [NAMES, *[ROW] * 3], edit=_hide)
    with pytest.raises(UploadRefused) as refused:
        rows_of(hidden)
    assert [fault.line for fault in refused.value.faults] == [2, 3, 4]
    wrong = [["007", "forty", *ROW[2:]], [*ROW[:2], "#REF!", *ROW[3:]]]
    path = workbook(tmp_path / "wrong.xlsx", [NAMES, *wrong * 15])
    with pytest.raises(UploadRefused) as refused:
        rows_of(path)
    assert [fault.line for fault in refused.value.faults] == list(range(2, 22))
    few = workbook(tmp_path / "few.xlsx", [NAMES, *wrong])
    with pytest.raises(UploadRefused) as refused:
        rows_of(few)
    assert [str(fault) for fault in refused.value.faults] == [
        "line 2: age must be a whole number; got 'forty'",
        "line 3: Prime €: the cell holds an error of Excel, #REF!: correct it, or empty the cell",
    ]


@pytest.mark.parametrize("error", ["#N/A", "#GETTING_DATA", "#DIV/0!", "#SPILL!"])
@pytest.mark.parametrize("column", ["A", "C", "D"])
def test_an_error_of_excel_is_told_by_the_type_of_its_cell(tmp_path: Path, column: str, error: str) -> None:
    """In keys, numbers and words, also a new one of Excel; the same text in the row before is none."""

    def edit(sheet: Any) -> None:
        sheet["D2"], sheet["D2"].data_type = error, "s"
        sheet[f"{column}3"], sheet[f"{column}3"].data_type = error, "e"

    path = workbook(tmp_path / "a.xlsx", [NAMES, ROW, ROW], edit=edit)
    with pytest.raises(UploadRefused) as refused:
        rows_of(path)
    name = NAMES["ABCD".index(column)]
    told = f"line 3: {name}: the cell holds an error of Excel, {error}: correct it, or empty the cell"
    assert [str(fault) for fault in refused.value.faults] == [told]
    with pytest.raises(TableRefused, match=f"{name}: the cell holds an error of Excel"):
        list(open_table(path, ImportOptions()).rows())


def test_a_text_that_looks_like_an_error_of_excel_is_a_word(tmp_path: Path) -> None:
    """Whoever typed it meant it."""

    def edit(sheet: Any) -> None:
        sheet["D2"], sheet["D2"].data_type = "#N/A", "s"

    path = workbook(tmp_path / "a.xlsx", [NAMES, ROW], edit=edit)
    assert rows_of(path) == [("007", FEATURES | {"city": "#N/A"})]


def test_a_named_sheet_is_taken(tmp_path: Path) -> None:
    """And one that is hidden needs its name."""

    def edit(sheet: Any) -> None:
        other = sheet.parent.create_sheet("Autre")
        for row in (NAMES, ["8", *ROW[1:]]):
            other.append(row)

    path = workbook(tmp_path / "a.xlsx", [NAMES, ROW], edit=edit)
    assert rows_of(path, sheet="Autre")[0][0] == "8"
    assert sheets_of(path) == ["Sheet", "Autre"]
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(path.read_bytes()[:500])
    assert sheets_of(broken) == []
    with pytest.raises(UploadRefused, match="`sheet` Nope: the workbook has Sheet, Autre"):
        rows_of(path, sheet="Nope")


def test_the_error_of_a_job_repeats_no_value(tmp_path: Path) -> None:
    """It is stored; what is shown to whoever looks is not."""
    path = workbook(tmp_path / "a.xlsx", [NAMES, ["1", "Dupont, Marie", *ROW[2:]]])
    with pytest.raises(UploadRefused) as caught:
        rows_of(path, tells_values=False)
    assert str(caught.value) == "line 2: age must be a whole number"


@pytest.mark.parametrize(
    ("lines", "form", "told"),
    [
        (
            ["no;Prime €", "1;1,234"],
            TEXT_KEY,
            "line 2: Prime €: a value may be a fraction or thousands; say which it is: `decimal` , or `decimal` .",
        ),
        (
            ["no;Prime €", "1;1.234", "2;12.500"],
            TEXT_KEY,
            "line 2: Prime €: a value may be a fraction or thousands; say which it is: `decimal` , or `decimal` .",
        ),
        (
            ["no;Prime €", "1;1,5", "2;2.5"],
            TEXT_KEY,
            "line 3: Prime €: a value is written with another decimal mark than the values before. Correct it",
        ),
        (
            ["no;Prime €", "31/12/1971 x;1"],
            KeyForm((KeyColumn("no", "date"),)),
            "line 2: no must be a day such as 2024-12-31",
        ),
    ],
)
def test_the_error_of_a_job_repeats_no_open_value(
    tmp_path: Path, lines: list[str], form: KeyForm, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that leaves open how numbers are written nor a key: line, column and what is wanted are told."""
    monkeypatch.setattr(sys.modules[__name__], "SIGNATURE", Signature((FeatureSpec("Prime €", FeatureKind.NUMBER),)))
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UploadRefused) as caught:
        rows_of(path, form, tells_values=False)
    assert str(caught.value) == told
    with pytest.raises(UploadRefused) as shown:
        rows_of(path, form)
    assert str(shown.value) != told


def test_of_a_library_s_error_the_type_alone_is_told(tmp_path: Path) -> None:
    """Its text may quote what it could not read."""
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 planted-3141 PAR1")
    with pytest.raises(UploadRefused, match=r"cannot be read \(ArrowInvalid\)$"):
        rows_of(path)


def test_what_is_open_in_csv_says_which_field_decides(tmp_path: Path) -> None:
    """In the words of the interface, which the command line turns into its own."""
    from cli.output.words import as_commands

    path = tmp_path / "a.csv"
    path.write_text("no;age;Prime €;city;garage;since\n1;41;1,234;x;oui;01/02/2024\n")
    with pytest.raises(UploadRefused) as caught:
        rows_of(path)
    assert "`decimal` , or `decimal` ." in str(caught.value)
    assert "`dates` dmy or `dates` mdy" in str(caught.value)
    assert "--decimal , or --decimal ." in as_commands(str(caught.value))
    found = rows_of(path, decimal=",", dates="mdy")[0][1]
    assert found == FEATURES | {"Prime €": 1.234, "city": "x", "since": "2024-01-02"}


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no zip", b"PAR1 no parquet PAR1", b"ARROW1\0\0 none", b"\xd0\xcf\x11\xe0"]
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever it looks like."""
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(UploadRefused, match="line 1: "):
        rows_of(path)


def test_a_bomb_of_entities_is_refused(tmp_path: Path) -> None:
    """A sheet declares none."""
    good = workbook(tmp_path / "good.xlsx", [NAMES, ROW])
    bad = tmp_path / "bad.xlsx"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for part in source.namelist():
            content = source.read(part)
            if part == "xl/worksheets/sheet1.xml":
                content = re.sub(rb"^(<\?xml[^>]*>)?", b'<!DOCTYPE a [<!ENTITY b "c">]>', content, count=1)
            target.writestr(part, content)
    with pytest.raises(UploadRefused):
        rows_of(bad)


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/styles.xml", "[Content_Types].xml"])
@pytest.mark.parametrize("content", [b"<a", b"", b"\x00", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&d;</a>"])
def test_a_workbook_with_a_part_that_is_no_xml_is_refused(tmp_path: Path, part: str, content: bytes) -> None:
    """As the file's fault, at once: not as a failure of the program, which would be tried again."""
    good, bad = tmp_path / "good.xlsx", tmp_path / "bad.xlsx"
    book = openpyxl.Workbook()
    book.active.append(NAMES)
    book.save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        assert part in source.namelist()
        for name in source.namelist():
            target.writestr(name, content if name == part else source.read(name))
    with pytest.raises(UploadRefused):
        rows_of(bad)


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        (FeatureKind.CATEGORY, "007", "007"),
        (FeatureKind.CATEGORY, 75, "75"),
        (FeatureKind.CATEGORY, True, None),
        (FeatureKind.CATEGORY, 1.5, None),
        (FeatureKind.NUMBER, 2**53, float(2**53)),
        (FeatureKind.NUMBER, 2**53 + 1, None),
        (FeatureKind.NUMBER, float("inf"), None),
        (FeatureKind.INTEGER, 2**53 + 1, 2**53 + 1),
        (FeatureKind.INTEGER, float(2**53 - 1), 2**53 - 1),
        (FeatureKind.INTEGER, float(2**53), None),
        (FeatureKind.INTEGER, 1.5, None),
        (FeatureKind.INTEGER, True, None),
        (FeatureKind.BOOLEAN, 1, True),
        (FeatureKind.BOOLEAN, 2, None),
        (FeatureKind.DATETIME, 45_000, None),
    ],
)
def test_a_cell_is_taken_where_nothing_of_it_is_lost(kind: FeatureKind, cell: Any, expected: Any) -> None:
    """And refused otherwise."""
    spec = FeatureSpec("x", kind)
    if expected is None:
        with pytest.raises(ValueRefused):
            value_of_cell(spec, cell)
    else:
        found = value_of_cell(spec, cell)
        assert (found, type(found)) == (expected, type(expected))


def test_a_file_without_the_key_is_told_the_name_that_the_key_has_in_the_source() -> None:
    """On a screen as in the API's own words, of a key of several columns every name."""
    pair = KeyForm((KeyColumn("branch", "text"), KeyColumn("no", "text")))
    for form, name in ((TEXT_KEY, "no"), (pair, "branch, no")):
        (fault,) = match_columns(["foo", "bar"], form, None, {}).faults
        assert isinstance(fault.detail, Sentence)
        assert (fault.line, fault.detail.reason, fault.detail.about["name"]) == (1, "no_key_column", name)
        assert f"`columns` {name.split(', ')[0]}=NAME" in fault.detail


def test_a_file_with_a_part_of_the_key_is_told_the_part_that_lacks() -> None:
    """Not the one that it has."""
    pair = KeyForm((KeyColumn("branch", "text"), KeyColumn("no", "text")))
    (fault,) = match_columns(["branch", "bar"], pair, None, {}).faults
    assert str(fault.detail) == "no column is called no; the file has branch, bar. Say which has it: `columns` no=NAME"


def test_a_text_in_a_cell_of_a_number_is_told_of_no_decimal_point() -> None:
    """Excel writes numbers as the reader's country does."""
    with pytest.raises(ValueRefused) as refused:
        value_of_cell(FeatureSpec("income", FeatureKind.NUMBER, "float64"), "beaucoup")
    assert refused.value.detail == "income must be a number; got 'beaucoup'"
