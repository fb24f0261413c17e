"""What stands in a file beside a client's key: around a text a blank, or columns, that would make it another client."""

from __future__ import annotations

import gzip
import random
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
from tests.unit.files.test_uploads import csv_refusal, ndjson_refusal, read_lines

TEXT = KeyForm((KeyColumn("no", "text"),))
PAIR = KeyForm((KeyColumn("branch", "varchar"), KeyColumn("no", "integer")))
AGE = Signature((FeatureSpec("age", FeatureKind.INTEGER),))
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
    with pytest.raises(UploadRefused, match=WORDS):
        read(KeyReader.of_csv_features(TEXT, AGE), b"no,age\nA ,4\n")
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


@pytest.mark.parametrize(
    "content",
    [
        *(f"client_id{mark}x\nK1{mark}2\n" for mark in ";\t|"),
        *("No;Name\nK1;Ada\n", '"client_id;x"\nK1\n', "sep=;\nK1;2\n", "x;Client ID\n2;K1\n"),
    ],
)
def test_columns_that_commas_do_not_separate_are_no_list_of_texts(content: str) -> None:
    """Each line would be a client whom nobody knows, and the job accepted."""
    for form in (TEXT, CHAR, KeyForm((KeyColumn("no", "citext"),))):
        (said,) = csv_refusal(content.encode(), form=form)
        assert said.startswith("line 1: the first line must name a column client_id or no")
        assert "/look" in said


@pytest.mark.parametrize("heading", ["Client ID", "client-id", "NO.", "clientid"])
def test_what_is_nearly_the_name_of_the_key_is_nobody(heading: str) -> None:
    """A first line of one column is a client only where it is no name of a column that was misspelt."""
    (said,) = csv_refusal(f"{heading}\nK1\n".encode(), form=TEXT)
    assert "the first line must name a column" in said
    assert read_lines(KeyReader.of_csv(TEXT), b"Number 1;2\nK1\n") == ['"Number 1;2"', '"K1"']


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"K1\nK2\n\x1a", "line 3: client_id holds a control character (U+001A): take it away"),
        (b"no\nK1\x0b\n", "line 2: client_id holds a control character (U+000B): take it away"),
        (b"PK\x03\x04abc\nK1\n", "line 1: this is no text but a zip archive"),
        (b"PK\x03\x04abc", "line 1: this is no text but a zip archive"),
        (gzip.compress(b"K1\n" * 1000, mtime=0), "line 1: this is compressed: do not compress the file"),
        (
            gzip.compress(random.Random(1).randbytes(200_000), mtime=0),
            "line 1: this is compressed: do not compress the file",
        ),
    ],
)
def test_what_is_no_text_is_no_list_of_texts(content: bytes, said: str) -> None:
    """Nor is the sign by which DOS ends a file."""
    assert csv_refusal(content, form=TEXT)[0].startswith(said)
    assert csv_refusal(*(content[n : n + 1] for n in range(len(content))), form=TEXT)[0].startswith(said)


def test_a_compressed_file_is_named_in_ndjson_too() -> None:
    """Whatever a line is in it, and where the first one ends."""
    for content in (b"1\n" * 1000, random.Random(1).randbytes(200_000)):
        assert ndjson_refusal(gzip.compress(content))[0].startswith("line 1: this is compressed")
        with pytest.raises(UploadRefused, match="this is compressed"):
            read(KeyReader.of_ndjson_features(TEXT, AGE), gzip.compress(content))
