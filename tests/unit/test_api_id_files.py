"""Finding client ids in CSV and NDJSON: the same whichever way the bytes are cut, and bad lines are named."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Invalid, Problem
from api.intake import uploads
from api.intake.client_ids import MAX_CLIENT_ID
from api.intake.id_files import CsvReader, NdjsonReader, RowReader, are_plain_ids
from api.intake.uploads import Upload


def read(reader: RowReader, *pieces: bytes, max_rows: int = 1000) -> list[int]:
    with Upload(reader, max_rows=max_rows) as upload:
        for piece in pieces:
            upload.feed(piece)
        upload.finish()
        ids = [int(item) for page in upload.pages(2) for item in page.split(b",")]
        assert len(ids) == upload.count
        return ids


def flaws(reader: RowReader, *pieces: bytes) -> list[str]:
    with pytest.raises(Invalid) as caught:
        read(reader, *pieces)
    return [flaw.detail for flaw in caught.value.flaws]


@pytest.mark.parametrize(
    "content",
    [
        b"5\n6\n7\n",
        b"5\n6\n7",
        b"5\r\n6\r\n7\r\n",
        b"client_id\n5\n6\n7\n",
        b"\xef\xbb\xbfClient_ID\r\n5\r\n6\r\n7",
        b'"client_id"\n"5"\n"6"\n"7"\n',
        b"\n\n5\n\n6\n   \n7\n\n",
        b"name,client_id,note\nx,5,a\ny,6,b\nz,7,c\n",
        b'name,client_id\n"a\nb",5\n"c, ""d""\n",6\n\nz, 7 \n',
        b"name,client_id\n,5\n,6\n,7\n",
        b"005\n06\n7\n",
    ],
)
def test_csv_in_every_usual_dress(content: bytes) -> None:
    """With or without header, other columns, quotes, CRLF, BOM, blank lines and a last line end; however it is cut."""
    assert read(CsvReader(), content) == [5, 6, 7]
    assert read(CsvReader(), *(content[n : n + 1] for n in range(len(content)))) == [5, 6, 7]
    assert read(CsvReader(), *(content[n : n + 7] for n in range(0, len(content), 7))) == [5, 6, 7]


@pytest.mark.parametrize(
    "content",
    [
        b"5\n6\n7\n",
        b'{"client_id": 5}\n{"client_id": 6, "name": "x"}\n{"client_id":7}',
        b'\xef\xbb\xbf5\r\n\r\n{"client_id": 6}\n\n7\r\n',
    ],
)
def test_ndjson_of_ids_or_objects(content: bytes) -> None:
    """Bare ids and objects may be mixed, with blank lines; however it is cut."""
    assert read(NdjsonReader(), content) == [5, 6, 7]
    assert read(NdjsonReader(), *(content[n : n + 1] for n in range(len(content)))) == [5, 6, 7]


def test_bad_csv_lines_are_named() -> None:
    """By their number in the file, with the reason; at most twenty."""
    assert flaws(CsvReader(), b"1\nx\n\n-4\n0\n1.0\n99999999999999999999\n") == [
        "line 2: 'x' is not a whole number",
        "line 4: '-4' is not a whole number",
        f"line 5: 0 is not between 1 and {MAX_CLIENT_ID}",
        "line 6: '1.0' is not a whole number",
        f"line 7: 99999999999999999999 is not between 1 and {MAX_CLIENT_ID}",
    ]
    assert flaws(CsvReader(), b"client_id,a\n1,x\n", b",y\n") == ["line 3: has no client_id"]
    assert flaws(CsvReader(), b"a,client_id\n1\n") == ["line 2: has no client_id"]
    assert len(flaws(CsvReader(), b"1\n" + b"x\n" * 100)) == 20


def test_csv_that_cannot_be_read_says_why() -> None:
    """No column, no UTF-8, a field or a record without end."""
    for content in (b"a,b\n1,2\n", b"1,2\n", b"id\n1\n"):
        assert flaws(CsvReader(), content)[0].startswith("line 1: the first line must name a column client_id")
    for content, delimiter in ((b"client_id;b\n1;2\n", "semicolons"), (b"1\t2\n", "tabs"), (b"a|client_id\n", "bars")):
        assert f"separate columns by commas, not by {delimiter}" in flaws(CsvReader(), content)[0]
    assert flaws(CsvReader(), b"1,a;b\n")[0].endswith("nothing else; this line is '1,a;b'")
    assert flaws(CsvReader(), b"client_id,x\n1,a\n2,\xff\n") == ["line 3: not UTF-8"]
    assert "field larger than field limit" in flaws(CsvReader(), b"client_id,x\n1," + b"x" * 200_000 + b"\n")[0]
    assert "has no end" in flaws(CsvReader(), b'client_id,x\n1,"' + b"x" * 1_100_000)[0]


def test_bad_ndjson_lines_are_named() -> None:
    """By their number, with the reason; what only looks like a number is none."""
    assert flaws(NdjsonReader(), b'1\n{"id": 2}\n"3"\n4.0\ntrue\n{oops\n-7\n') == [
        "line 2: has no client_id",
        "line 3: '\"3\"' is not a whole number",
        "line 4: '4.0' is not a whole number",
        "line 5: 'true' is not a whole number",
        "line 6: '{oops' is not a whole number",
        "line 7: '-7' is not a whole number",
    ]
    assert flaws(NdjsonReader(), b"1,2\n") == ["line 1: '1,2' is not a whole number"]


def test_too_many_rows_are_refused_before_the_end() -> None:
    """The limit counts while the upload still runs."""
    with pytest.raises(Problem, match="10 rows") as caught:
        read(CsvReader(), b"1\n" * 11, max_rows=10)
    assert caught.value.kind.status == 413
    assert len(read(CsvReader(), b"1\n" * 10, max_rows=10)) == 10


def test_the_digest_is_of_the_ids_alone() -> None:
    """The same ids have the same digest in every dress, so that an Idempotency-Key holds."""
    digests = set()
    for reader, content in (
        (CsvReader(), b"client_id\r\n5\r\n6\r\n"),
        (CsvReader(), b"5\n6"),
        (NdjsonReader(), b'{"client_id": 5}\n6\n'),
    ):
        with Upload(reader, max_rows=10) as upload:
            upload.feed(content)
            upload.finish()
            digests.add(upload.digest)
    assert len(digests) == 1


ids = st.lists(st.integers(1, MAX_CLIENT_ID), max_size=30)


@given(ids, st.integers(1, 9))
def test_any_ids_come_back_as_they_went_in(values: list[int], cut: int) -> None:
    """CSV and NDJSON alike, for any ids and any cut."""
    for reader, content in (
        (CsvReader(), "client_id\n" + "".join(f"{value}\n" for value in values)),
        (NdjsonReader(), "".join(json.dumps({"client_id": value}) + "\n" for value in values)),
    ):
        data = content.encode()
        assert read(reader, *(data[n : n + cut] for n in range(0, len(data), cut))) == values


@given(st.binary(max_size=40))
def test_any_bytes_are_ids_or_a_problem(content: bytes) -> None:
    """Garbage is refused with a stated problem, never with a crash; what is taken is an id."""
    for reader in (CsvReader(), NdjsonReader()):
        with contextlib.suppress(Problem):
            assert all(0 < item <= MAX_CLIENT_ID for item in read(reader, content))


@given(st.text("0123456789\n", max_size=60))
def test_plain_ids_are_ids(text: str) -> None:
    """The quick check never lets through what a look at each line would refuse."""
    if text and are_plain_ids(f"{text}\n".encode()):
        assert all(0 < int(line) <= MAX_CLIENT_ID for line in text.split("\n"))


@given(
    st.lists(st.integers(1, MAX_CLIENT_ID), max_size=60),
    st.integers(1, 70),
    st.integers(1, 200),
)
def test_an_upload_is_handed_on_in_pages(ids: list[int], rows: int, piece: int) -> None:
    """In order, each page full but the last, whatever is read from the spool at once; and from the start again."""
    with pytest.MonkeyPatch.context() as patch, Upload(CsvReader(), max_rows=1000) as upload:
        patch.setattr(uploads, "_PIECE", piece)
        upload.feed("".join(f"{item}\n" for item in ids).encode())
        upload.finish()
        expected = [",".join(map(str, ids[start : start + rows])).encode() for start in range(0, len(ids), rows)]
        assert list(upload.pages(rows)) == expected
        assert list(upload.pages(rows)) == expected
