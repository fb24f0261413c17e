"""The quick ways through a file of keys take what they are for: else a file is right, and slow."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.sources.keys import KeyColumn, KeyForm
from shared.uploads.blocks import BLOCK_BYTES, Blocks
from shared.uploads.cell_values import key_text
from shared.uploads.csv_keys import CsvKeys
from shared.uploads.key_lines import RECORDS_A_STEP, KeyCollector, KeyLines, highest_integer, integer_lines
from shared.uploads.ndjson_keys import NdjsonKeys
from shared.uploads.refusals import UploadRefused

BIGINT = KeyForm((KeyColumn("no", "bigint"),))


@pytest.mark.parametrize(
    ("kind", "highest"), [("smallint", 32_767), ("integer", 2_147_483_647), ("bigint", 9_223_372_036_854_775_807)]
)
def test_whole_numbers_are_taken_up_to_the_highest(kind: str, highest: int) -> None:
    """The highest itself, and nothing above it, which is for the closer look to refuse."""
    assert highest_integer(KeyForm((KeyColumn("no", kind),))) == highest
    line = f"{highest}\n".encode()
    assert integer_lines(line, highest) == KeyLines(line, 1)
    assert integer_lines(f"{highest + 1}\n".encode(), highest) is None
    assert integer_lines(b"0\n", highest) is None


def test_zeros_blanks_and_blank_lines_are_taken() -> None:
    """A number with zeros before it keeps how it was written; up to 40 digits are looked at."""
    assert integer_lines(b"7\n", 99) == KeyLines(b"7\n", 1)
    assert integer_lines(b" 7\t\n\n \n12\n", 99) == KeyLines(b"7\n12\n", 2, 2)
    assert integer_lines(b"07\n12\n", 99) == KeyLines(b"7\n12\n", 2, 0, {0: "07"})
    longest = b"7".rjust(40, b"0")
    assert integer_lines(longest + b"\n8\n", 99) == KeyLines(b"7\n8\n", 2, 0, {0: longest.decode()})
    assert integer_lines(b"0" + longest + b"\n8\n", 99) is None
    assert integer_lines(b"\n\n", 99) == KeyLines(b"", 0, 2)


def test_lines_of_numbers_are_read_at_once_and_not_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines alone, the column of a table, and a table with blank lines."""
    monkeypatch.setattr(CsvKeys, "_one_by_one", None)
    for content, blank_lines in ((b"no\n5\n6\n", 0), (b"no,age\n5,30\n6,31\n", 0), (b"no,age\n5,30\n\n6,31\n", 1)):
        parts = list(CsvKeys(BIGINT).read(1, content))
        assert b"".join(part.lines for part in parts) == b"5\n6\n"
        assert sum(part.blank_lines for part in parts) == blank_lines


def test_lines_of_json_are_read_in_steps_and_blank_ones_counted() -> None:
    """A step is a few milliseconds of the event loop."""
    many = b"".join(b'{"no":"%d","more":[]}\n' % number for number in range(1, 2 * RECORDS_A_STEP + 2))
    assert [part.count for part in NdjsonKeys(BIGINT).read(1, many)] == [RECORDS_A_STEP, RECORDS_A_STEP, 1]
    parts = list(NdjsonKeys(BIGINT).read(1, b'{"no":5}\n\n \n{"no":6}\n'))
    assert (b"".join(part.lines for part in parts), sum(part.blank_lines for part in parts)) == (b"5\n6\n", 2)


def test_a_record_without_an_end_is_named_by_its_line() -> None:
    """Of the stream, and not of the block."""
    blocks = Blocks(CsvKeys(BIGINT))
    lines = 2 * BLOCK_BYTES // 8
    with pytest.raises(UploadRefused) as refused:
        list(blocks.feed(b"1234567\n" * lines + b'"' + b"x" * (2 * BLOCK_BYTES)))
    assert refused.value.faults[0].line == lines + 1


def test_refusals_are_known_before_the_end() -> None:
    """Whoever reads on may ask."""
    keys = KeyCollector("int8")
    assert keys.has_faults is False
    keys.refuse(3, "is wrong")
    assert keys.has_faults is True


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (datetime.fromisoformat("2024-05-06"), "2024-05-06"),
        (datetime.fromisoformat("2024-05-06 07:08"), "2024-05-06 07:08:00"),
        (date(2024, 5, 6), "2024-05-06"),
        (Decimal("1.50"), "1.50"),
        (7.0, "7"),
        (" a b\t", "a b"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_a_cell_is_a_key_as_a_file_of_text_would_have_it(cell: Any, text: str) -> None:
    """A day in a workbook is a moment at midnight."""
    assert key_text(cell) == text
