"""Client keys that are whole numbers are read many at once: the same keys, up to the edges of what that can do."""

from __future__ import annotations

from typing import Any

import pytest

from shared.sources.keys import KeyColumn, KeyForm
from shared.uploads.blocks import BLOCK_BYTES, Blocks
from shared.uploads.csv_keys import CsvKeys
from shared.uploads.key_lines import RECORDS_A_STEP, KeyLines, highest_integer, integer_lines
from shared.uploads.ndjson_keys import NdjsonKeys
from shared.uploads.refusals import UploadRefused

BIGINT = 2**63 - 1
INTEGER = KeyForm((KeyColumn("client_id", "bigint"),))
TEXT = KeyForm((KeyColumn("client_id", "text"),))


@pytest.mark.parametrize(
    ("types", "highest"),
    [
        (["smallint"], 32_767),
        (["integer"], 2_147_483_647),
        (["bigint"], 9_223_372_036_854_775_807),
        (["text"], 0),
        (["bigint", "bigint"], 0),
    ],
)
def test_the_highest_key_is_that_of_its_type(types: list[str], highest: int) -> None:
    """Of one column of whole numbers; other keys have none."""
    form = KeyForm(tuple(KeyColumn(f"no{number}", kind) for number, kind in enumerate(types)))
    assert highest_integer(form) == highest


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (b"5\n6\n", KeyLines(b"5\n6\n", 2)),
        (b"5\r\n6\r\n", KeyLines(b"5\n6\n", 2)),
        (b" 5\n\n\t6 \n", KeyLines(b"5\n6\n", 2, 1)),
        (b"\n \n\n", KeyLines(b"", 0, 3)),
        (b"007\n\n8\n", KeyLines(b"7\n8\n", 2, 1, {0: "007"})),
        (b"1\n32767\n", KeyLines(b"1\n32767\n", 2)),
        (b"1\n32768\n", None),
        (b"1\n0\n", None),
        (b"1\n2 3\n", None),
        (b"1\n-2\n", None),
        (b"1\n" + b"7".zfill(40) + b"\n", KeyLines(b"1\n7\n", 2, 0, {1: "7".zfill(40)})),
        (b"1\n" + b"7".zfill(41) + b"\n", None),
    ],
)
def test_whole_numbers_are_read_at_once(lines: bytes, found: KeyLines | None) -> None:
    """With blanks, blank lines and up to 40 digits, from 1 to the highest; any other line needs a closer look."""
    assert integer_lines(lines, 32_767) == found


def parts_of(reader: CsvKeys | NdjsonKeys, block: bytes, line: int = 1) -> list[tuple[int, int]]:
    """How many keys and how many blank lines each part of a block has."""
    return [(part.count, part.blank_lines) for part in reader.read(line, block)]


@pytest.mark.parametrize("row", [b"7,x\n", b'"7","x"\n', b"07,x\r\n"])
def test_a_block_of_good_rows_comes_as_one_part(row: bytes) -> None:
    """Blank lines between them, too: nobody looks at such rows one by one."""
    reader = CsvKeys(INTEGER)
    assert parts_of(reader, b"client_id,note\n") == [(0, 0), (0, 0)]
    assert parts_of(reader, row * 1_000 + b"\n  \n" + row * 1_000) == [(2_000, 2)]


def test_a_block_of_good_objects_comes_as_one_part() -> None:
    """Bare keys and blank lines among them, too."""
    block = b'{"client_id":7}\n\n' * 1_000 + b" \n8\n"
    assert parts_of(NdjsonKeys(INTEGER), block) == [(1_001, 1_001)]


def test_records_that_need_a_closer_look_come_some_at_a_time() -> None:
    """So that others have their turn; blank lines are counted in the part in which they stand."""
    assert RECORDS_A_STEP == 250
    lines = [b'"a"\n'] * 300 + [b"\n", b" \n"] + [b'"b"\n'] * 250
    assert parts_of(NdjsonKeys(TEXT), b"".join(lines)) == [(250, 0), (248, 2), (52, 0)]
    reader = CsvKeys(TEXT)
    list(reader.read(1, b"client_id\n"))
    assert parts_of(reader, b"".join(lines), 2) == [(250, 0), (248, 2), (52, 0)]


def test_a_block_of_keys_alone_is_refused_where_records_have_two_fields() -> None:
    """The first record says how many fields there are, for every block after it."""
    reader = CsvKeys(INTEGER)
    list(reader.read(1, b"client_id,note\n1,x\n"))
    with pytest.raises(UploadRefused) as refused:
        list(reader.read(3, b"2\n3\n"))
    assert str(refused.value.faults[0]) == "line 3: has 1 field where the first record has 2"


@pytest.mark.parametrize("make", [CsvKeys, NdjsonKeys])
@pytest.mark.parametrize("before", [0, 1, 4])
def test_a_record_that_is_too_long_is_told_by_its_line(make: Any, before: int) -> None:
    """However many lines stand before it."""
    cut = Blocks(make(INTEGER))
    head = b"1\n" * before
    with pytest.raises(UploadRefused) as refused:
        list(cut.feed(head + b"2" * BLOCK_BYTES))
    (fault,) = refused.value.faults
    assert (fault.line, fault.code) == (before + 1, "record_too_long")


def test_of_names_over_several_lines_the_first_is_told() -> None:
    """There the quote was forgotten."""
    with pytest.raises(UploadRefused) as refused:
        list(CsvKeys(INTEGER).read(1, b'client_id,"a\nb","c\nd"\n'))
    assert "goes over several lines: 'a\\nb'." in str(refused.value)
