"""Blanks around a client's key: of a number they are nothing, of a text they may be another client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.keys import KeyColumn, KeyForm
from shared.sources.references import REFERENCES
from shared.uploads.reader import KeyReader
from shared.uploads.refusals import UploadRefused
from tests.unit.files.test_feature_uploads import read
from tests.unit.files.test_table_uploads import rows_of
from tests.unit.files.test_uploads import csv_refusal, read_lines

TEXT = KeyForm((KeyColumn("no", "text"),))
PAIR = KeyForm((KeyColumn("branch", "varchar"), KeyColumn("no", "integer")))
CHAR = KeyForm((KeyColumn("no", "char"),))
ANSWERED_FOR_ANOTHER = ["A ", " A", '"A "', '"A\t"']
WORDS = "has a blank at an end, and may be another one without it"


@pytest.mark.parametrize("cell", ANSWERED_FOR_ANOTHER)
@pytest.mark.parametrize("form", [TEXT, KeyForm((KeyColumn("no", "citext"),)), REFERENCES])
def test_a_text_with_a_blank_is_refused_in_csv(form: KeyForm, cell: str) -> None:
    """Without its blank it would be answered as somebody else, who may be there as well."""
    name = form.columns[0].name
    (said,) = csv_refusal(f"{name}\nB\n{cell}\n".encode(), form=form)
    assert WORDS in said
    assert "line 3" in said


def test_so_is_a_part_of_a_key_and_a_key_beside_features(tmp_path: Path) -> None:
    """However the file is read: as a stream, or as a table by a worker."""
    (said,) = csv_refusal(b"branch,no\n007 ,5\n", form=PAIR)
    assert WORDS in said
    signature = Signature((FeatureSpec("age", FeatureKind.INTEGER),))
    with pytest.raises(UploadRefused, match=WORDS):
        read(KeyReader.of_csv_features(TEXT, signature), b"no,age\nA ,4\n")
    path = tmp_path / "a.csv"
    path.write_text("no;x\nB;1\nA ;2\n")
    with pytest.raises(UploadRefused, match=WORDS):
        rows_of(path, TEXT, has_features=False)


def test_blanks_around_numbers_and_behind_a_char_do_not_count() -> None:
    """PostgreSQL takes them so, too."""
    for form, header, plain, dressed in ((PAIR, "branch,no", "007,5", "007, 5 "), (CHAR, "no", "A", "A ")):
        one, other = (read_lines(KeyReader.of_csv(form), f"{header}\n{row}\n".encode()) for row in (plain, dressed))
        assert one == other
    assert WORDS in csv_refusal(b"no\n A\n", form=CHAR)[0]


def _parquet(path: Path) -> None:
    parquet.write_table(pa.table({"no": ["A", "A ", " "]}), path)


def _arrow(path: Path) -> None:
    feather.write_feather(pa.table({"no": ["A", "A ", " "]}), path)


def _excel(path: Path) -> None:
    book = openpyxl.Workbook()
    for cell in ("no", "A", "A ", " "):
        book.active.append([cell])
    book.save(path)


@pytest.mark.parametrize("write", [_parquet, _arrow, _excel])
def test_in_a_file_with_types_a_text_stays_what_it_is(write: Callable[[Path], None], tmp_path: Path) -> None:
    """It has no quotes to forget, and nobody puts a blank behind a comma."""
    write(tmp_path / "file")
    rows = rows_of(tmp_path / "file", TEXT, has_features=False)
    assert [key for key, _ in rows] == ["A", "A ", " "]
