"""Features in uploads: strict, by the signature's kinds, and the same however the bytes come."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.intake.uploads import Upload
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.sources.keys import KeyColumn, KeyForm
from shared.sources.references import REFERENCES
from shared.uploads import blocks, csv_records, feature_rows
from shared.uploads.key_lines import KeyLines
from shared.uploads.reader import KeyReader
from shared.uploads.refusals import UploadRefused

SIGNATURE = Signature(
    (
        FeatureSpec("age", FeatureKind.INTEGER),
        FeatureSpec("income", FeatureKind.NUMBER, nullable=True),
        FeatureSpec("is member", FeatureKind.BOOLEAN, nullable=True),
        FeatureSpec("city", FeatureKind.CATEGORY, nullable=True),
        FeatureSpec("since", FeatureKind.DATETIME, nullable=True),
    )
)
INTEGER = KeyForm((KeyColumn("no", "bigint"),))
COMPOSITE = KeyForm((KeyColumn("country", "text"), KeyColumn("no", "integer")))
HEADER = "age,income,is member,city,since"
DIGITS = "a whole number of 64 bits in plain digits, without point or exponent"
A_TIME = "a time without a time zone as ISO 8601 writes it, such as 2026-11-26T14:30:00"
ROW = {"age": 41, "income": 1.5, "is member": True, "city": "Orly", "since": "2026-01-31T12:00:00"}


def read(reader: KeyReader, content: bytes, piece: int | None = None) -> KeyLines:
    """All parts in one."""
    parts: list[KeyLines] = []
    step = piece or len(content) or 1
    for start in range(0, len(content), step):
        parts += reader.feed(content[start : start + step])
    parts += reader.finish()
    spelled: dict[int, object] = {}
    count = 0
    for part in parts:
        spelled |= {count + row: written for row, written in part.spelled.items()}
        count += part.count
    lines, found = b"".join(part.lines for part in parts), b"".join(part.given for part in parts)
    return KeyLines(lines, count, sum(part.blank_lines for part in parts), spelled, found)


def features(found: KeyLines) -> list[dict[str, Any]]:
    """The objects as PostgreSQL would have them: COPY's escapes are taken off first, then the array's."""
    rows = []
    for line in found.given.decode().split("\n")[:-1]:
        element = _unescaped(line)
        rows.append(json.loads(_unescaped(element[1:-1])))
    return rows


def _unescaped(text: str) -> str:
    letters = iter(text)
    return "".join(next(letters) if letter == "\\" else letter for letter in letters)


def of_csv(content: str, form: KeyForm = REFERENCES, signature: Signature = SIGNATURE) -> KeyLines:
    return read(KeyReader.of_csv_features(form, signature), content.encode())


def of_ndjson(content: str, form: KeyForm = REFERENCES) -> KeyLines:
    return read(KeyReader.of_ndjson_features(form, SIGNATURE), content.encode())


def test_texts_become_what_the_signature_says() -> None:
    """Columns in any order, others left out, an empty field is missing."""
    found = of_csv('since,note,age,city,income,is member\n2026-01-31,x,41,"Or""ly, \\",1e3,T\n,,7.0,, .5 ,false\n')
    assert features(found) == [
        {"age": 41, "income": 1000.0, "is member": True, "city": 'Or"ly, \\', "since": "2026-01-31"},
        {"age": 7, "income": 0.5, "is member": False, "city": None, "since": None},
    ]
    assert (found.count, found.lines, found.spelled) == (2, b"", {})


def test_a_record_is_told_all_that_is_wrong_with_it() -> None:
    """Its key and each of its features, in one reading of the file."""
    with pytest.raises(UploadRefused) as caught:
        of_csv(f"no,{HEADER}\nx,4.5,a,,,\n", INTEGER)
    assert [str(fault).partition(" must")[0] for fault in caught.value.faults] == [
        "line 2: client_id", "line 2: age", "line 2: income"
    ]  # fmt: skip


def test_flags_are_written_as_in_files_that_are_imported() -> None:
    """In the languages of the import, in PostgreSQL's own letters, and in any case."""
    found = of_csv("is member,age,income,city,since\nYes,,,,\nnon,,,,\nVRAI,,,,\nnein,,,,\nf,,,,\n1,,,,\n0,,,,\n")
    assert [row["is member"] for row in features(found)] == [True, False, True, False, False, True, False]


def test_a_key_comes_along() -> None:
    """`client_id` or the source's own column, by itself or of several columns; a model without a source takes any."""
    cells = "41,1.5,true,Orly,2026-01-31T12:00:00"
    for name in ("client_id", "no"):
        found = of_csv(f"{HEADER},{name}\n{cells},007\n", INTEGER)
        assert (found.lines, found.spelled) == (b"7\n", {0: "007"})
    assert of_csv(f"country,no,{HEADER}\nFR,17,{cells}\n", COMPOSITE).count == 1
    assert of_csv(f"client_id,{HEADER}\nrow 1,{cells}\n").lines == b'"row 1"\n'
    found = of_ndjson(json.dumps({**ROW, "client_id": 5}) + "\n")
    assert (found.lines, found.spelled, features(found)) == (b'"5"\n', {0: 5}, [ROW])


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("4.5,,,,", "age must be a whole number; got '4.5'"),
        ("1_0,,,,", "age must be a whole number; got '1_0'"),
        ("٣,,,,", "age must be a whole number; got '٣'"),
        ("9223372036854775808,,,,", "age must be a whole number of 64 bits; got '9223372036854775808'"),
        ('1,"1,5",,,', "income must be a number with a decimal point; got '1,5'"),
        ("1,nan,,,", "income must be a number with a decimal point; got 'nan'"),
        ("1,1e999,,,", "income must be a number that a double can hold; got 'inf'"),
        ("1,,peut-être,,", "is member must be true or false (yes/no, oui/non, 1/0); got 'peut-être'"),
        ("1,,,,31/01/2026", f"since must be {A_TIME}; got '31/01/2026'"),
        ("1,,,,2026-01-31T12:00:00Z", f"since must be {A_TIME}; got '2026-01-31T12:00:00Z'"),
        (
            "1,,,,2026-01-31T12:00:00.1234567",
            f"since must be {A_TIME}, to the microsecond at most; got '2026-01-31T12:00:00.1234567'",
        ),
        ("1,,,", "has 4 fields where the first record has 5"),
    ],
)
def test_what_does_not_convert_is_named_by_line_and_column(row: str, detail: str) -> None:
    """And nothing of the upload is taken."""
    with pytest.raises(UploadRefused) as caught:
        of_csv(f"{HEADER}\n1,,,,\n{row}\n")
    assert [str(fault) for fault in caught.value.faults] == [f"line 3: {detail}"]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"age": "41"}, "age must be a whole number; got '41'"),
        ({"age": True}, "age must be a whole number; got 'True'"),
        ({"age": 1.5}, "age must be a whole number; got '1.5'"),
        ({"age": 2**63}, f"age must be a whole number of 64 bits; got '{2**63}'"),
        ({"age": 2**64}, "age must be a whole number of 64 bits; got '1.8446744073709552e+19'"),
        # A double of its own: what was written is not known any more.
        ({"age": -(2**63) - 1}, f"age must be {DIGITS}; got '-9.223372036854776e+18'"),
        ({"age": float(2**53)}, f"age must be {DIGITS}; got '9007199254740992.0'"),
        ({"income": "1"}, "income must be a number; got '1'"),
        ({"is member": 1}, "is member must be true or false; got '1'"),
        ({"city": 5}, "city must be a string; got '5'"),
        ({"aeg": 5}, "the model has no feature 'aeg'"),
        ({"client_id": 5}, "has client_id, and the first line has none: give it to all or to none"),
    ],
)
def test_an_object_has_values_of_their_kind(change: dict[str, Any], detail: str) -> None:
    """By line, too."""
    with pytest.raises(UploadRefused) as caught:
        of_ndjson(f"{json.dumps(ROW)}\n\n{json.dumps({**ROW, **change})}\n")
    assert [str(fault) for fault in caught.value.faults] == [f"line 3: {detail}"]


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ("age,income", "the first line must name every feature of the model; it lacks is member, city, since"),
        (HEADER.replace(",", ";"), "It looks separated by semicolons: .*--file FILE --with-features"),
        (f"{HEADER},age", "the column 'age' stands twice"),
        (f"{HEADER},country", "'country' is a part of the key only"),
    ],
)
def test_a_header_that_does_not_fit_says_why(header: str, detail: str) -> None:
    """A feature that was misspelt would else be missing in silence."""
    with pytest.raises(UploadRefused, match=detail.replace("'", ".")):
        of_csv(f"{header}\n", COMPOSITE)


def test_a_row_without_a_key_is_refused_where_others_have_one() -> None:
    """In both formats."""
    for content, read_it in (
        (f"client_id,{HEADER}\n1,41,,,,\n,41,,,,\n", of_csv),
        ('{"client_id": 1, "age": 41}\n{"age": 41}\n', of_ndjson),
    ):
        with pytest.raises(UploadRefused, match="has no client_id"):
            read_it(content)


values = st.fixed_dictionaries(
    {
        "age": st.integers(-(2**63), 2**63 - 1),
        "income": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "is member": st.none() | st.booleans(),
        "city": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1),
        "since": st.none() | st.datetimes().map(lambda moment: moment.isoformat()),
    }
)


def written(rows: list[dict[str, Any]], keys: list[str] | None) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow([*SIGNATURE.names, *(["client_id"] if keys is not None else [])])
    for number, row in enumerate(rows):
        cells = ["" if row[name] is None else str(row[name]) for name in SIGNATURE.names]
        writer.writerow([*cells, *([keys[number]] if keys is not None else [])])
    return target.getvalue()


@given(st.lists(values, min_size=1, max_size=12), st.booleans(), st.integers(1, 4))
def test_any_row_comes_back_as_it_went_in(rows: list[dict[str, Any]], has_keys: bool, step: int) -> None:
    """Through CSV and through NDJSON, to the last bit and letter."""
    keys = [f"row {number}" for number in range(len(rows))] if has_keys else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_rows, "_VALUES_A_STEP", 8 * step)
        lines = [{**row, **({"client_id": keys[number]} if keys else {})} for number, row in enumerate(rows)]
        for found in (
            of_csv(written(rows, keys)),
            of_ndjson("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)),
        ):
            assert features(found) == rows
            assert found.count == len(rows)
            assert found.lines == ("".join(f'"{key}"\n' for key in keys or []).encode())


pieces = st.sampled_from(
    [b"1,2,true,x,\n", b'"1",,,"a""b\n",2026-01-01\n', b"\n", b" \n", b"x,,,,\n", b"1,,,\n", b'1"\n', b"\xff"]
)
objects = st.sampled_from(
    [
        b'{"age": 1}\n',
        b'{"age": 1, "since": "2026-01-01T00:00:00"}\n',
        b"\n",
        b"5\n",
        b'{"age": "x"}\n',
        b'{"age": 1, "age": 2}\n',
        b'{"client_id": 1, "age": 1}\n',
        b"{",
    ]
)


@given(
    st.lists(pieces, max_size=12).map(lambda parts: HEADER.encode() + b"\n" + b"".join(parts))
    | st.lists(objects, max_size=12).map(b"".join),
    st.booleans(),
    st.integers(1, 50),
    st.integers(40, 200),
)
def test_the_outcome_does_not_depend_on_how_the_bytes_come(content: bytes, is_csv: bool, piece: int, size: int) -> None:
    """Rows or the very same refusal, in whatever pieces and however small the blocks are."""
    make: Callable[..., KeyReader] = KeyReader.of_csv_features if is_csv else KeyReader.of_ndjson_features

    def outcome(cut: int | None) -> object:
        try:
            return read(make(REFERENCES, SIGNATURE), content, cut)
        except UploadRefused as refused:
            return [str(fault) for fault in refused.faults]

    with pytest.MonkeyPatch.context() as patch:
        for module in (blocks, csv_records):
            patch.setattr(module, "BLOCK_BYTES", size)
        assert outcome(piece) == outcome(None)


@pytest.mark.parametrize("is_csv", [True, False])
def test_a_file_of_several_blocks_is_read_whole(is_csv: bool) -> None:
    """Its rows come while it is still sent, whatever stands at the end of a block; blank lines are counted."""
    blank = "\n" if is_csv else " \n"
    line = "41,1.5,true,Orly,2026-01-31T12:00:00\n" if is_csv else json.dumps(ROW) + "\n"
    rows = 3 * blocks.BLOCK_BYTES // len(line)
    content = ((HEADER + "\n" if is_csv else "") + (line + blank) * rows).encode()
    make: Callable[..., KeyReader] = KeyReader.of_csv_features if is_csv else KeyReader.of_ndjson_features
    reader = make(REFERENCES, SIGNATURE)
    parts = list(reader.feed(content))
    assert sum(part.count for part in parts) > rows // 2
    parts += reader.finish()
    assert (sum(part.count for part in parts), sum(part.blank_lines for part in parts)) == (rows, rows)
    assert {row for part in parts for row in part.given.splitlines()} == set(parts[0].given.splitlines())


def test_others_have_their_turn() -> None:
    """Between two steps two thousand values are read, however many rows a block has."""
    reader = KeyReader.of_csv_features(REFERENCES, SIGNATURE)
    content = (HEADER + "\n" + "1,,,,\n" * 50_000).encode()
    counts = [part.count for part in reader.feed(content)]
    assert max(counts) <= 2_000 // 8
    assert sum(counts) > 40_000


@given(st.lists(values, min_size=1, max_size=30), st.integers(1, 9))
def test_pages_have_keys_and_features_side_by_side(rows: list[dict[str, Any]], size: int) -> None:
    """As elements of arrays, so many at a time; the hash is of the content."""
    content = written(rows, [str(number) for number in range(len(rows))]).encode()
    with Upload(KeyReader.of_csv_features(REFERENCES, SIGNATURE), max_rows=100) as upload:
        for _ in upload.steps(content, is_last=True):
            pass
        pages = list(upload.rows.pages(size))
        assert upload.rows_of_a_page(1000) == 1000
    assert [page.keys.count(b",") + 1 for page in pages if page.keys] == [
        len(rows[start : start + size]) for start in range(0, len(rows), size)
    ]
    assert all(page.given for page in pages)


def test_wide_rows_make_small_pages() -> None:
    """A page of features has 8 MB on average, and 32 at most where some rows are much wider."""
    wide = "x" * 50_000
    rows: Iterator[str] = iter([f"1,,,{wide},\n"] * 200)
    with Upload(KeyReader.of_csv_features(REFERENCES, SIGNATURE), max_rows=1000) as upload:
        for _ in upload.steps((HEADER + "\n" + "".join(rows)).encode(), is_last=True):
            pass
        assert 100 < upload.rows_of_a_page(10_000) <= 160
