"""Client keys out of CSV and NDJSON: the same whichever way the bytes come, and what is no record names its line."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.http.problems import Invalid
from api.intake.uploads import Upload
from shared.sources.keys import ClientKey, KeyColumn, KeyForm, KeyRefused
from shared.uploads import blocks, csv_records
from shared.uploads.blocks import BLOCK_BYTES
from shared.uploads.key_lines import are_plain, array_element
from shared.uploads.reader import KeyReader
from shared.uploads.refusals import UploadRefused

WHOLE = f"client_id must be a whole number from {-(2**63) + 1} to {2**63 - 1}, or its digits as a string"
INTEGER = KeyForm((KeyColumn("client_id", "bigint"),))
NAMED = KeyForm((KeyColumn("policy_no", "bigint"),))


def read_lines(reader: KeyReader, *pieces: bytes) -> list[str]:
    found = [keys for piece in pieces for keys in reader.feed(piece)]
    found += reader.finish()
    assert all(keys.lines.count(b"\n") == keys.count for keys in found)
    return "".join(keys.lines.decode() for keys in found).split("\n")[:-1]


def csv_ids(*pieces: bytes, form: KeyForm = INTEGER) -> list[int]:
    return list(map(int, read_lines(KeyReader.of_csv(form), *pieces)))


def ndjson_ids(*pieces: bytes, form: KeyForm = INTEGER) -> list[int]:
    return list(map(int, read_lines(KeyReader.of_ndjson(form), *pieces)))


def refusal(reader: KeyReader, *pieces: bytes) -> list[str]:
    with pytest.raises(UploadRefused) as caught:
        read_lines(reader, *pieces)
    return list(map(str, caught.value.faults))


def csv_refusal(*pieces: bytes, form: KeyForm = INTEGER) -> list[str]:
    return refusal(KeyReader.of_csv(form), *pieces)


def ndjson_refusal(*pieces: bytes, form: KeyForm = INTEGER) -> list[str]:
    return refusal(KeyReader.of_ndjson(form), *pieces)


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
        b" 5\n\t6 \n  7\t\r\n",
        b"name,client_id,note\nx,5,a\ny,6,b\nz,7,c\n",
        b'name,client_id\n"a\nb",5\n"c, ""d""\n",6\n\nz, 7 \n',
        b'name,client_id\n"a\rb",5\n"""",6\n"",7\n',
        b"name,client_id\n,5\n,6\n,7\n",
        b"client_id,,\n5,,\n6,,\n7,,\n",
        b"005\n06\n7\n",
    ],
)
def test_csv_in_every_usual_dress(content: bytes) -> None:
    """With or without header, other columns, quotes, CRLF, BOM, blanks, blank lines and a last line end."""
    assert csv_ids(content) == [5, 6, 7]
    assert csv_ids(*(content[n : n + 1] for n in range(len(content)))) == [5, 6, 7]


@pytest.mark.parametrize(
    "content",
    [
        b"5\n6\n7\n",
        b'{"client_id": 5}\n{"client_id": 6, "name": "x"}\n{"client_id":7}',
        b'\xef\xbb\xbf5\r\n\r\n{"client_id": 6}\n\n7\r\n',
        b'{"client_id":5,"a":{"client_id":1}}\n{"client_id" :6,"b":[{"c":1},{"c":2}]}\n{"client\\u005fid":7}\n',
        b'{"client_id":5,"x":":"}\n {"client_id":6,"x":"client_id"}\n\t7 \n',
    ],
)
def test_ndjson_of_ids_or_objects(content: bytes) -> None:
    """Bare ids and objects may be mixed, with blank lines; however it is cut."""
    assert ndjson_ids(content) == [5, 6, 7]
    assert ndjson_ids(*(content[n : n + 1] for n in range(len(content)))) == [5, 6, 7]


CLOSED = "put the field in quotes, and double the quote"
NOT_RECORDS = [
    (b'client_id,n\n1,"abc\n2,x\n4999,x\n', "line 2: a quote opens here and is not closed"),
    (b'client_id,n\n1,a\n2,"abc\n3,x\n4,y\n', "line 3: a quote opens here and is not closed"),
    (b'client_id,n\n1,a\n"2,b', "line 3: a quote opens here and is not closed"),
    (b"client_id\r1\r2\n3\n4\n", "line 1: a carriage return stands alone: end lines with LF or CR LF"),
    (b"1\n2\r3\n", "line 2: a carriage return stands alone: end lines with LF or CR LF"),
    (b"1\n2\r", "line 2: a carriage return stands alone: end lines with LF or CR LF"),
    (b"1\n2\r\r\n", "line 2: a carriage return stands alone: end lines with LF or CR LF"),
    (b'1\n"1"2\n', "line 2: text stands after a closing quote"),
    (b'1\n"1" \n', "line 2: text stands after a closing quote"),
    (b'client_id,n\n1,5" pipe\n2,b\n', f"line 2: a quote stands inside a field that does not begin with one: {CLOSED}"),
    (b'client_id,n\n1, "a"\n', f"line 2: a quote stands inside a field that does not begin with one: {CLOSED}"),
    (
        b'client_id,n\n1,5" pipe\n2,"a\n7,b\n',
        f"line 2: a quote stands inside a field that does not begin with one: {CLOSED}",
    ),
    (b"client_id,a,client_id\n1,2,3\n", "line 1: the column 'client_id' stands twice"),
    (b"client_id,a,a\n1,2,3\n", "line 1: the column 'a' stands twice"),
    (b"CLIENT_ID,Client_Id\n1,2\n", "line 1: the column 'client_id' stands twice"),
    (b'1\n"2\n3"\n', f"line 2: {WHOLE}"),
    (b'1\n"2\n"\n', f"line 2: {WHOLE}"),
    (b'1\n"2\r"\n', f"line 2: {WHOLE}"),
    (b"client_id,x\n1,a\n2,\xff\n", "line 3: not UTF-8: save the file as CSV in UTF-8"),
    (b"1\n2\0\n", "line 2: holds a NUL character, which no text has"),
    (b'client_id,x\n1,"a\nb\0"\n', "line 3: holds a NUL character, which no text has"),
    (b"client_id,x\n1,a\n2\n", "line 3: has 1 field where the first record has 2"),
    (b"client_id,x\n1,a,b\n", "line 2: has 3 fields where the first record has 2"),
    (b"1\n2,3\n", "line 2: has 2 fields where the first record has 1"),
    (b"client_id,x\n1,a\n,\n", "line 3: has no client_id"),
    (b'client_id\n1\n""\n', "line 3: has no client_id"),
    (b"1\n\xc2\xa02\n", f"line 2: {WHOLE}"),
    (b"1\n2\x0b\n", f"line 2: {WHOLE}"),
    (b"1\n\xe2\x80\xa82\n", f"line 2: {WHOLE}"),
    (b"1\n2\xc2\x85\n", f"line 2: {WHOLE}"),
    (b"1\n2\x1c\n", f"line 2: {WHOLE}"),
    (b"1\n2 3\n", f"line 2: {WHOLE}"),
    (b"1\n" + "١\n".encode(), f"line 2: {WHOLE}"),
    (b"PK\x03\x04\0\0", "line 1: this is no text but a zip archive, perhaps an Excel file: save it as CSV in UTF-8"),
    ("1\n2\n".encode("utf-16"), "line 1: this is UTF-16: save it as CSV in UTF-8"),
]


@pytest.mark.parametrize(("content", "expected"), NOT_RECORDS)
def test_what_is_not_exactly_a_record_is_refused_by_its_line(content: bytes, expected: str) -> None:
    """No row is lost, joined or split in silence, and the line is the first of the record."""
    assert csv_refusal(content)[0] == expected
    assert csv_refusal(*(content[n : n + 1] for n in range(len(content))))[0] == expected


def test_a_column_name_over_several_lines_is_refused() -> None:
    """A quote in the header that is closed three lines later hides three clients: no name of a column is like that."""
    assert csv_refusal(b'client_id,"n\n1,a\n2,b\n3,c"\n4,d') == [
        "line 1: the name of a column goes over several lines: 'n\\n1,a\\n2,b\\n3,c'. Is a quote missing?"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"1\n01\n", "line 2: '01' is not JSON: a JSON number begins with no zero"),
        (b'1\n{"client_id": 02}\n', "line 2: '{\"client_id\": 02}' is not JSON"),
        (b'{"client_id":1}\r{"client_id":2}\n', 'line 1: \'{"client_id":1}\\r{"client_id":2}\' is not JSON'),
        (b'1\n{"client_id":1}\x0b\n', "line 2: '{\"client_id\":1}' is not JSON"),
        (b'{"client_id":1,"client_id":2}\n', "line 1: has the member 'client_id' twice"),
        (b'{"client_id":1,"a":1,"a":2}\n', "line 1: has the member 'a' twice"),
        (b'{"client_id":1,"a" :1,"a":2}\n', "line 1: has the member 'a' twice"),
        (b'{"client_id":1,"a":1,"\\u0061":2}\n', "line 1: has the member 'a' twice"),
        (b'{"client_id":1}\n{"client_id":2,"x":{"a":1,"a":2}}\n', "line 2: has the member 'a' twice"),
        (b"1\n2\0\n", "line 2: holds a NUL character, which no text has"),
        (b'1\n{"client_id":2,"x":"\xff"}\n', "line 2: not UTF-8: save the file in UTF-8"),
        (b"1\n" + b"[" * 50_000 + b"\n", "line 2: '" + "[" * 40 + "' is not JSON"),
        (b"1\n" + b"9" * 5000 + b"\n", "line 2: " + "9" * 40 + " is too large a number"),
        (b'1\n{"client_id":null}\n', "line 2: has no client_id"),
        (b"1\nnull\n", f"line 2: {WHOLE}"),
        (b"1\n[1]\n", "line 2: client_id must be one value: the key is the column client_id"),
        (b"1 2\n", "line 1: '1 2' is not JSON"),
    ],
)
def test_a_line_of_ndjson_is_one_json_value(content: bytes, expected: str) -> None:
    """As RFC 8259 has it, each member once, and lines end with LF alone."""
    assert ndjson_refusal(content)[0] == expected
    assert ndjson_refusal(*(content[n : n + 1] for n in range(len(content))))[0] == expected


def test_bad_ids_are_named() -> None:
    """By their line in the file, with the reason; at most twenty."""
    assert csv_refusal(b"1\nx\n\n-\n+\n1.0\n99999999999999999999\n") == [
        f"line 2: {WHOLE}",
        f"line 4: {WHOLE}",
        f"line 5: {WHOLE}",
        f"line 6: {WHOLE}",
        f"line 7: {WHOLE}",
    ]
    assert len(csv_refusal(b"1\n" + b"x\n" * 100)) == 20
    assert ndjson_refusal(b'1\n{"id": 2}\n"3"\n4.0\ntrue\n{oops\n-7\n') == [
        "line 2: has no client_id",
        f"line 4: {WHOLE}",
        f"line 5: {WHOLE}",
        "line 6: '{oops' is not JSON",
    ]
    assert len(ndjson_refusal(b"1\n" + b"x\n" * 100)) == 20


def test_columns_that_cannot_be_found_say_why() -> None:
    """What the first line must be, and which other delimiter it seems to have."""
    for content in (b"a,b\n1,2\n", b"1,2\n", b"id\n1\n"):
        assert csv_refusal(content)[0].startswith("line 1: the first line must name a column client_id")
    for content, delimiter in ((b"client_id;b\n1;2\n", "semicolons"), (b"1\t2\n", "tabs"), (b"a|client_id\n", "bars")):
        assert f"separate columns by commas, not by {delimiter}" in csv_refusal(content)[0]
    assert csv_refusal(b"1,a;b\n")[0].endswith("nothing else; this line is '1,a;b'")
    assert "must name a column client_id or policy_no" in csv_refusal(b"a,b\n1,2\n", form=NAMED)[0]


def test_the_key_may_go_by_its_own_name() -> None:
    """`client_id` or the column of the source, in CSV and in NDJSON; both at once are refused."""
    for name in (b"policy_no", b"client_id"):
        assert csv_ids(b"x,%b\na,5\nb,6\n" % name, form=NAMED) == [5, 6]
        assert ndjson_ids(b'{"%b":5}\n{"x":1,"%b":6}\n' % (name, name), form=NAMED) == [5, 6]
    assert ndjson_ids(b'{"policy_no":5}\n{"client_id":6}\n7\n', form=NAMED) == [5, 6, 7]
    assert "may both be the key" in csv_refusal(b"policy_no,client_id\n5,6\n", form=NAMED)[0]
    assert ndjson_refusal(b'{"client_id":1}\n{"policy_no":5,"client_id":6}\n', form=NAMED) == [
        "line 2: 'client_id' and 'policy_no' may both be the key: leave one of them out"
    ]


@dataclass(frozen=True)
class Column:
    name: str
    type: str


@dataclass(frozen=True)
class Key:
    canonical: str
    spelled: object | None = None


class TextKey:
    """Keys of several columns, or texts, as a source will have them."""

    storage = "text"

    def __init__(self, *names: str) -> None:
        self.columns = tuple(Column(name, "text") for name in names)

    def parse(self, value: object) -> ClientKey:
        if len(self.columns) == 1:
            if not isinstance(value, str):
                raise KeyRefused("is no text")
            return Key(value.lower(), None if value == value.lower() else value)
        if not isinstance(value, dict) or set(value) != {column.name for column in self.columns}:
            raise KeyRefused("is not the key")
        return Key(json.dumps([str(value[column.name]) for column in self.columns]))

    def parse_text(self, text: str) -> ClientKey:
        return self.parse(text)

    def parse_fields(self, fields: Mapping[str, str]) -> ClientKey:
        return self.parse(dict(fields))


def test_text_keys_are_elements_of_an_array() -> None:
    """Whatever they hold, one line each; what the caller wrote is kept beside the canonical form."""
    content = 'name,policy_no\nx,P-1\n"a\nb","q""\\\n"\nz,Œ\n'.encode()
    reader = KeyReader.of_csv(TextKey("policy_no"))
    found = [*reader.feed(content), *reader.finish()]
    assert b"".join(keys.lines for keys in found).decode() == (
        f"{array_element('p-1')}\n{array_element(chr(113) + chr(34) + chr(92) + chr(10))}\n{array_element('œ')}\n"
    )
    assert found[-1].spelled == {0: "P-1", 2: "Œ"}
    reader = KeyReader.of_ndjson(TextKey("policy_no"))
    found = [*reader.feed(b'"P-1"\n{"policy_no":"p-2"}\n{"client_id":"p-3"}\n4\n' * 1)]
    with pytest.raises(UploadRefused, match="line 4: client_id is no text"):
        list(reader.finish())


def test_keys_of_several_columns() -> None:
    """CSV has them as columns; NDJSON as members of the line, or of its client_id."""
    form = TextKey("country", "no")
    expected = [array_element('["FR", "17"]'), array_element('["DE", "2"]')]
    assert read_lines(KeyReader.of_csv(form), b"no,x,country\n17,a,FR\n2,b,DE\n") == expected
    content = b'{"country":"FR","no":17}\n{"client_id":{"no":2,"country":"DE"},"x":1}\n'
    assert read_lines(KeyReader.of_ndjson(form), content) == expected
    assert csv_refusal(b"no\n17\n", form=form)[0].startswith("line 1: the first line must name the columns country, no")
    assert csv_refusal(b"no,country\n17,\n", form=form) == ["line 2: has no country, no"]
    assert ndjson_refusal(b'{"no":17}\n', form=form) == ["line 1: has no country, no"]


def test_leading_zeros_are_spelled() -> None:
    """`007` is client 7, and what was written is known."""
    reader = KeyReader.of_csv(INTEGER)
    found = [*reader.feed(b"7\n007\n"), *reader.finish()][-1]
    assert (found.lines, found.spelled) == (b"7\n7\n", {1: "007"})


@pytest.mark.parametrize("make", [KeyReader.of_csv, KeyReader.of_ndjson])
def test_a_record_has_an_end(make: Any) -> None:
    """A record may be as long as a block; one above is refused with its line, before more of it is held."""
    head, tail = (b"client_id,x\n", b"\n2,y\n") if make == KeyReader.of_csv else (b"1\n", b'"}\n2\n')
    start = b"1," if make == KeyReader.of_csv else b'{"client_id":1,"x":"'
    room = BLOCK_BYTES - len(start) - (1 if make == KeyReader.of_csv else 3)
    assert read_lines(make(INTEGER), head + start + b"x" * room + tail)[-2:] == ["1", "2"]
    (fault,) = refusal(make(INTEGER), head + start + b"x" * (room + 1) + tail)
    assert fault.startswith("line 2: this")
    assert fault.endswith("has more than 65,536 bytes")


def test_a_quote_without_end_is_named_where_it_opens() -> None:
    """And not where the upload ends, nor as a record that is too long."""
    rest = b"".join(b"%d,x\n" % n for n in range(50_000))
    assert csv_refusal(b'client_id,n\n1,"abc\n' + rest) == [
        "line 2: a quote opens here and is not closed within 65,536 bytes"
    ]
    assert csv_refusal(b'client_id,n\n1,a"bc\n' + rest)[0].startswith("line 2: a quote stands inside a field")


def test_a_refused_upload_holds_nothing() -> None:
    """The rest of it costs neither memory nor time, and is refused in the same words."""
    reader = KeyReader.of_csv(INTEGER)
    with pytest.raises(UploadRefused) as first:
        list(reader.feed(b"x\n" * BLOCK_BYTES))
    for _ in range(3):
        with pytest.raises(UploadRefused) as again:
            list(reader.feed(b"1" * 10_000_000))
        assert again.value.faults == first.value.faults
    assert len(reader._blocks._waiting) == 0


def test_no_more_than_a_block_is_parsed_at_a_time() -> None:
    """Between two steps lie at most 64 kB, also where a piece is large."""
    reader = KeyReader.of_csv(INTEGER)
    steps = list(reader.feed(b"1234567\n" * 100_000))
    assert len(steps) in {12, 13}
    assert max(len(keys.lines) for keys in steps) <= BLOCK_BYTES


@given(st.text('a,"\n\r').map(str.encode))
@example(b'1,"a\nb"\n2,"c\n')
def test_a_block_ends_behind_the_last_line_end_outside_quotes(block: bytes) -> None:
    """Found from the back by counting; here by reading on from the front."""
    is_inside, end = False, 0
    for place, letter in enumerate(block):
        if letter == ord('"'):
            is_inside = not is_inside
        elif letter == ord("\n") and not is_inside:
            end = place + 1
    assert csv_records.end_of_records(block) == end


@pytest.mark.parametrize("header", [b"", b"client_id\n"])
def test_a_file_of_several_blocks_is_read_whole(header: bytes) -> None:
    """With and without a header, which the first block alone has."""
    numbers = range(1_000_000, 1_030_000)
    assert csv_ids(header + b"".join(b"%d\n" % number for number in numbers)) == list(numbers)


def test_a_line_without_its_second_field_is_refused_in_any_block() -> None:
    """What follows a thousand records of two fields has two, even where it looks like a list of keys."""
    content = b"client_id,note\n" + b"1234567,x\n" * 10_000 + b"12\n" * 50_000
    assert csv_refusal(content)[0].startswith("line 10002: ")


ids = st.lists(st.integers(1, (2**63 - 1)), max_size=30)


@given(ids, st.integers(1, 9))
def test_any_ids_come_back_as_they_went_in(values: list[int], cut: int) -> None:
    """CSV and NDJSON alike, for any ids and any cut."""
    plain = "client_id\n" + "".join(f"{value}\n" for value in values)
    objects = "".join(json.dumps({"client_id": value}) + "\n" for value in values)
    for read, content in ((csv_ids, plain.encode()), (ndjson_ids, objects.encode())):
        assert read(*(content[n : n + cut] for n in range(0, len(content), cut))) == values


def outcome(reader: KeyReader, *pieces: bytes) -> list[str] | tuple[str, ...]:
    try:
        return read_lines(reader, *pieces)
    except UploadRefused as refused:
        return tuple(map(str, refused.faults))


crooked = st.text('127,,""\n\n\r 0a\0ä{}:', max_size=60).map(str.encode) | st.binary(max_size=30)
csv_like = st.lists(
    st.sampled_from(
        [b"1", b"23", b",", b",", b'"', b'""', b"\n", b"\n", b"\r\n", b"\r", b" ", b"a", b"client_id,n\n", b"0"]
    ),
    max_size=40,
).map(b"".join)
ndjson_like = st.lists(
    st.sampled_from(
        [b"1", b"\n", b"\n", b"\r", b'{"client_id":', b'{"client_id":2}', b'"a":1,', b"}", b"{", b",", b" ", b"0"]
    ),
    max_size=30,
).map(b"".join)


@given(crooked | csv_like | ndjson_like, st.lists(st.integers(0, 60), max_size=6), st.integers(8, 40))
def test_the_outcome_does_not_depend_on_how_the_bytes_come(content: bytes, cuts: list[int], size: int) -> None:
    """Keys or refusal, word for word the same in one piece and in any others; blocks are small, so that they matter."""
    places = sorted({0, *(cut % (len(content) + 1) for cut in cuts), len(content)})
    pieces = [content[start:end] for start, end in pairwise(places)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", size)
        for make in (KeyReader.of_csv, KeyReader.of_ndjson):
            assert outcome(make(INTEGER), *pieces) == outcome(make(INTEGER), content)


def strict_records(text: str) -> list[list[str]] | None:
    """Strict CSV read letter by letter, as its definition says; None where it is none."""
    records: list[list[str]] = []
    record: list[str] = []
    text += "" if text.endswith(("\n", "\r")) or not text else "\n"
    at = 0
    while at < len(text):
        cell, at = quoted_cell(text, at + 1) if text[at] == '"' else bare_cell(text, at)
        record.append(cell)
        at += text[at : at + 2] == "\r\n"
        if text[at : at + 1] == "\n":
            records.append(record)
            record = []
        elif text[at : at + 1] != ",":
            return None
        at += 1
    return None if record else records


def quoted_cell(text: str, at: int) -> tuple[str, int]:
    cell = ""
    while at < len(text):
        if text[at] == '"':
            if text[at + 1 : at + 2] != '"':
                return cell, at + 1
            at += 1
        cell += text[at]
        at += 1
    return cell, at


def bare_cell(text: str, at: int) -> tuple[str, int]:
    start = at
    while at < len(text) and text[at] not in ',\r\n"':
        at += 1
    return text[start:at], at


@given(csv_like, st.integers(10, 60))
@example(b"0,1\n", 60)  # as good a key as any
def test_strict_csv_is_read_as_its_definition_says(content: bytes, size: int) -> None:
    """Against a reader letter by letter: the same fields are keys, or both refuse."""
    records = strict_records(f"client_id,n\n{content.decode()}")
    expected: list[str] | None = []
    for record in (records or [[]])[1:]:
        if len(record) == 1 and not record[0].strip(" "):
            continue
        number = record[0].strip(" ")
        good = len(record) == 2 and number.isdigit() and int(number) < 2**63
        expected = None if expected is None or not good else [*expected, str(int(number))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 10_000 if len(content) > size else size + 20)
        found = outcome(KeyReader.of_csv(INTEGER), b"client_id,n\n" + content)
    if records is None or expected is None:
        assert isinstance(found, tuple)
    elif isinstance(found, list):
        assert found == expected
    else:  # a quoted empty line is a field, which the definition above does not tell from a blank line
        assert b'""' in content or b'" "' in content or b"more than" in found[0].encode()


@given(st.binary(max_size=40))
def test_any_bytes_are_ids_or_a_refusal(content: bytes) -> None:
    """Garbage is refused with its line, never with a crash; what is taken is an id."""
    for read in (csv_ids, ndjson_ids):
        with contextlib.suppress(UploadRefused):
            assert all(-(2**63) < item < 2**63 for item in read(content))


@given(st.text("0123456789\n", max_size=60))
def test_plain_ids_are_ids(text: str) -> None:
    """The quick check never lets through what a look at each line would refuse."""
    if text and are_plain(f"{text}\n".encode(), (2**63 - 1)):
        assert all(0 < int(line) <= (2**63 - 1) for line in text.split("\n"))


@pytest.mark.parametrize(
    ("make", "content"),
    [
        (KeyReader.of_csv, b"client_id" + b",a" * 30_000 + b"\n"),
        (KeyReader.of_csv, b"client_id\n" + b"1\r" * 40_000),
        (KeyReader.of_ndjson, b"1\n" * 10_000 + b"{}\n" * 10_000),
    ],
)
def test_a_refused_upload_leaves_nothing_for_the_garbage_collector(make: Any, content: bytes) -> None:
    """It holds megabytes, and a collection is seldom: thirty refusals a second filled 600 MB in five seconds."""

    def refuse() -> None:
        with Upload(make(INTEGER), max_rows=100_000) as upload, contextlib.suppress(Invalid):
            for _ in upload.steps(content, is_last=True):
                pass

    refuse()
    gc.collect()
    gc.disable()
    try:
        refuse()
        assert gc.collect() == 0
    finally:
        gc.enable()
