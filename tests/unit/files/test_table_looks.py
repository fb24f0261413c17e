"""What is said and written of a table that was sent: its columns, its first rows, its faults, and lines for pages."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared.models.feature import FeatureKind, FeatureSpec
from shared.models.signature import Signature
from shared.sources.keys import KeyColumn, KeyForm
from shared.uploads.refusals import UploadRefused
from shared.uploads.table_order import TableOrder
from tests.support import ROOT
from web.words.api_refusals import told_flaw
from web.words.language import choose_language
from worker.closed.message import write_message
from worker.uploads import lines, look, opener
from worker.uploads.context import UploadContext
from worker.uploads.kinds import name_by_kind

SIGNATURE = Signature((FeatureSpec("city", FeatureKind.CATEGORY), FeatureSpec("age", FeatureKind.INTEGER)))
TEXT_KEY = KeyForm((KeyColumn("no", "text"),))
INTEGER_KEY = KeyForm((KeyColumn("no", "bigint"),))
PAIR = KeyForm((KeyColumn("branch", "text"), KeyColumn("no", "integer")))
CSV = "no;city; age\n007;Évreux; 41\n8;Łódź;30\n"


def context(
    directory: Path, content: str | bytes, form: KeyForm = TEXT_KEY, signature: Signature | None = SIGNATURE
) -> UploadContext:
    """A file as the worker has it on its disk."""
    path = directory / "upload"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    order = TableOrder(UUID(int=1), has_features=signature is not None)
    return UploadContext(name_by_kind(path), order, signature, form)


def table(**columns: Any) -> bytes:
    """A Parquet file."""
    target = io.BytesIO()
    parquet.write_table(pa.table(columns), target)
    return target.getvalue()


def test_a_look_shows_columns_and_first_rows(tmp_path: Path) -> None:
    """What each column is for, how it is written, and three of its values without the blanks around them."""
    seen = look.look(context(tmp_path, CSV))
    columns = {column["name"]: column for column in seen["columns"]}
    assert {name: (column["use"], column["stands_for"]) for name, column in columns.items()} == {
        "no": ("key", "no"),
        "city": ("feature", "city"),
        "age": ("feature", "age"),
    }
    assert {name: column["examples"] for name, column in columns.items()} == {
        "no": ["007", "8"],
        "city": ["Évreux", "Łódź"],
        "age": ["41", "30"],
    }
    assert (seen["rows"], seen["is_whole"], seen["problems"]) == (2, True, [])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_look_counts_the_words_that_pandas_reads_as_missing(tmp_path: Path, kind: str) -> None:
    """Of each text feature; words that the signature knows, keys and empty fields are not among them."""
    words = ["NA", "#N/A", "NA", "None", "", "Łódź"]
    numbers = ["41", "30", "NA", "", "5", "6"] if kind == "csv" else [41, 30, None, None, 5, 6]
    lines_ = "".join(f"NA;{word};{number};NA\n" for word, number in zip(words, numbers, strict=True))
    made = table(no=["NA"] * 6, city=[word or None for word in words], age=numbers, zone=["NA"] * 6)
    zone = FeatureSpec("zone", FeatureKind.CATEGORY, categories=("EU", "NA"))
    city, age = (FeatureSpec(spec.name, spec.kind, nullable=True) for spec in SIGNATURE.features)
    content = "no;city;age;zone\n" + lines_ if kind == "csv" else made
    seen = look.look(context(tmp_path, content, signature=Signature((city, age, zone))))
    assert {column["name"]: column["null_words"] for column in seen["columns"]} == {
        "no": {},
        "city": {"#N/A": 1, "NA": 2, "None": 1},
        "age": {},
        "zone": {},
    }, seen["problems"]


def test_a_file_that_breaks_off_in_its_first_rows_still_shows_its_columns(tmp_path: Path) -> None:
    """With what is wrong, and no examples."""
    seen = look.look(context(tmp_path, "no;city;age\n007;Évreux\n"))
    assert [(column["name"], column["examples"]) for column in seen["columns"]] == [
        ("no", []),
        ("city", []),
        ("age", []),
    ]
    assert seen["problems"]


def test_a_look_at_what_is_no_table_says_why(tmp_path: Path) -> None:
    """Beside what was wanted of it."""
    seen = look.look(context(tmp_path, b"PAR1 no parquet PAR1"))
    assert (seen["key"], seen["features"], seen["sheets"]) == (["no"], ["city", "age"], [])
    (problem,) = seen["problems"]
    assert (problem["line"], problem["code"]) == (1, "not_a_table")
    assert "cannot be read" in problem["detail"]


@pytest.mark.parametrize(("seconds", "rows", "is_whole"), [(60.0, 1_500, True), (-1.0, 1_000, False)])
def test_a_look_counts_rows_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, rows: int, is_whole: bool
) -> None:
    """And says whether it saw them all."""
    monkeypatch.setattr(look, "_SECONDS", seconds)
    seen = look.look(context(tmp_path, table(no=["7"] * 1_500, city=["x"] * 1_500, age=[41] * 1_500)))
    assert (seen["rows"], seen["is_whole"], seen["problems"]) == (rows, is_whole, [])


def test_a_file_has_from_one_row_to_the_most(tmp_path: Path) -> None:
    """The first row above it is told by its line."""
    rows = lines.table_rows(context(tmp_path, CSV), tells_values=False)
    assert lines.check_rows(rows, most=2) == 2
    with pytest.raises(UploadRefused, match="line 3: an upload may hold 1 rows; cut it"):
        lines.check_rows(rows, most=1)
    with pytest.raises(UploadRefused, match="a header and no row"):
        lines.check_rows(lines.table_rows(context(tmp_path, "no;city;age\n"), tells_values=False), most=1)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (TEXT_KEY, ['"007"\t\t', '"8"\t\t']),
        (INTEGER_KEY, ['7\t"007"\t', "8\t\t"]),
    ],
)
@pytest.mark.parametrize("skip", [0, 1])
def test_rows_are_written_as_elements_of_arrays(tmp_path: Path, form: KeyForm, written: list[str], skip: int) -> None:
    """Texts in quotes, numbers as they are, with their spelling where it differs; none of those to be skipped."""
    target = io.BytesIO()
    lines.write_lines(lines.table_rows(context(tmp_path, CSV, form, None), tells_values=False), target, skip=skip)
    assert target.getvalue().decode() == "".join(f"{line}\n" for line in written[skip:])


def asked(tmp_path: Path, **more: Any) -> bytes:
    return write_message({"context": context(tmp_path, CSV).to_json(), **more}, [])


def answer(monkeypatch: pytest.MonkeyPatch, kind: str, message: bytes) -> list[Any]:
    """What the process that opens files says of it, as far as it is JSON, and the other lines."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))
    output = io.BytesIO()
    opener._answer(kind, output)
    first, *others = output.getvalue().decode().splitlines()
    return [json.loads(first), *others]


def test_the_opener_of_files_looks_or_gives_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are counted where none was planned before."""
    (seen,) = answer(monkeypatch, "look", asked(tmp_path))
    assert (seen["result"]["rows"], seen["result"]["problems"]) == (2, [])
    for skip, count in ((0, 2), (1, 1)):
        said, *rows = answer(monkeypatch, "rows", asked(tmp_path, skip=skip, most=2))
        assert (said, len(rows)) == ({"rows": count}, 2 - skip)
    assert answer(monkeypatch, "rows", asked(tmp_path, skip=0, most=1)) == [
        {"code": "upload_refused", "detail": "line 3: an upload may hold 1 rows; cut it"}
    ]


@pytest.mark.parametrize(
    ("kind", "more", "code"), [("look", {}, "file_refused"), ("rows", {"skip": 0, "most": 9}, "upload_refused")]
)
def test_a_file_that_takes_too_much_memory_is_told_how_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, more: Mapping[str, Any], code: str
) -> None:
    """So that its owner can cut it."""

    def without_memory(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(look, "open_file", without_memory)
    monkeypatch.setattr(lines, "open_file", without_memory)
    words = "the file takes more than 768 MB of memory to read: cut it, or save it as CSV"
    assert answer(monkeypatch, kind, asked(tmp_path, **more)) == [{"code": code, "detail": words}]


def test_the_opener_of_files_is_a_process(tmp_path: Path) -> None:
    """It is asked on its standard input, and answers on its standard output."""
    command = [sys.executable, "-m", "worker.uploads.opener", "look", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input=asked(tmp_path), capture_output=True, check=True, env=environment, cwd=ROOT, timeout=60
    )
    assert json.loads(done.stdout)["result"]["rows"] == 2


def test_a_composite_key_is_read_from_its_columns(tmp_path: Path) -> None:
    """Each as it was written; a key with an empty part is refused."""
    content = "branch;no\n01/02/2024;7\n1,234;08\n"
    rows = list(lines.table_rows(context(tmp_path, content, PAIR, None), tells_values=False))
    assert [row.key and row.key.canonical for row in rows] == ['["01/02/2024","7"]', '["1,234","8"]']
    with pytest.raises(UploadRefused, match="line 2: branch, no is empty"):
        list(lines.table_rows(context(tmp_path, "branch;no\nFR;\n", PAIR, None), tells_values=False))


@pytest.mark.parametrize("key", ["01/02/2024", "1,234"])
def test_a_key_that_is_text_leaves_nothing_open(tmp_path: Path, key: str) -> None:
    """However much it looks like a day or a number that may be written in two ways."""
    rows = list(lines.table_rows(context(tmp_path, f"no;x\n{key};1\n", TEXT_KEY, None), tells_values=False))
    assert [row.key and row.key.canonical for row in rows] == [key]


def test_a_key_of_lists_is_refused_by_its_column_alone(tmp_path: Path) -> None:
    """Once, and not for each row."""
    content = table(no=[["7"], ["8"]], city=["x", "y"], age=[41, 30])
    with pytest.raises(UploadRefused) as refused:
        list(lines.table_rows(context(tmp_path, content), tells_values=False))
    (fault,) = refused.value.faults
    assert fault.line == 1
    assert "column no: a list<element: string> cannot be a column" in fault.detail


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_letter_of_windows_at_the_very_end_is_read(tmp_path: Path, end: str) -> None:
    """Half a letter of UTF-8 is none."""
    rows = lines.table_rows(context(tmp_path, f"no\nJosé{end}".encode("cp1252"), TEXT_KEY, None), tells_values=False)
    assert [row.key and row.key.canonical for row in rows] == ["José"]


_TYPED_AS_TEXT = Signature(
    (
        FeatureSpec("income", FeatureKind.NUMBER),
        FeatureSpec("age", FeatureKind.INTEGER),
        FeatureSpec("born", FeatureKind.DATETIME, dtype="datetime64[us]"),
    )
)
_DAY_KEY = KeyForm((KeyColumn("day", "date"),))
_FRENCH = {"day": ["05/07/1973", "2024-01-02"], "income": ["1 984,36", "7"], "age": ["41", "1 030"]}
_FRENCH["born"] = ["05/07/1973", "06/07/1973 12:30"]


def workbook(path: Path, columns: Mapping[str, list[Any]]) -> bytes:
    """A sheet with these columns."""
    book = openpyxl.Workbook()
    for row in (list(columns), *map(list, zip(*columns.values(), strict=True))):
        book.active.append(row)
    book.save(path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
def test_texts_in_cells_are_read_as_the_caller_says_they_are_written(tmp_path: Path, kind: str) -> None:
    """As texts of CSV are: an export often makes texts of numbers and days."""
    content = workbook(tmp_path / "a.xlsx", _FRENCH) if kind == "xlsx" else table(**_FRENCH)
    made = context(tmp_path, content, _DAY_KEY, _TYPED_AS_TEXT)
    made = replace(made, order=replace(made.order, decimal=",", dates="dmy"))
    assert look.look(made)["problems"] == []
    rows = list(lines.table_rows(made, tells_values=False))
    assert [row.key and row.key.canonical for row in rows] == ["1973-07-05", "2024-01-02"]
    assert [list((row.features or {}).values()) for row in rows] == [
        [1984.36, 41, "1973-07-05"],
        [7.0, 1030, "1973-07-06 12:30:00"],
    ]


def test_a_text_that_could_be_read_says_what_to_say(tmp_path: Path) -> None:
    """In the API's words and, by its reason, in those of the screens; one that helps nobody is refused as ever."""
    columns = {"day": ["2024-01-02"] * 2, "income": ["984,36", "much"], "age": [4, 5]}
    columns["born"] = ["05/07/1973", "soon"]
    seen = look.look(context(tmp_path, workbook(tmp_path / "a.xlsx", columns), _DAY_KEY, _TYPED_AS_TEXT))
    told = {(problem["line"], problem["reason"]): problem for problem in seen["problems"]}
    assert list(told) == [(2, "text_for_number"), (2, "text_for_date"), (3, "not_number"), (3, "not_a_date")]
    assert "say its decimal mark with `decimal`" in told[2, "text_for_number"]["detail"]
    assert "say with `dates` whether" in told[2, "text_for_date"]["detail"]
    french = [told_flaw(choose_language({}, "fr"), problem) for problem in seen["problems"]]
    assert french[0].startswith("income : la cellule est le texte « 984,36 » : choisissez le séparateur décimal")
    assert french[3].startswith("born doit être une date, avec ou sans heure")
