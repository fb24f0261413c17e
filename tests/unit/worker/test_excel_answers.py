"""Texts in workbooks of answers: Excel and our own reader find what the answers have, whatever characters it holds."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.files.excel_table import ExcelTable
from model.files.excel_text import escaped, unescaped
from shared.jobs.result_columns import RESULT_COLUMNS
from worker.exports.result_files import write_rows

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
PIECES = st.sampled_from(
    ["_x0041_", "_x0041", "_x005F_", "_xD83D_", "_x000d_", "_", "x0041_", "\r\n", "\t", "\x01", "\ufffe"]
)
TEXTS = st.lists(st.one_of(CHARACTERS, PIECES), min_size=1, max_size=12).map("".join)


def written(path: Path, keys: list[str], *, columns: list[dict[str, Any]] | None = None) -> Path:
    """A workbook of answers with these client ids and keys."""
    empty = dict.fromkeys(RESULT_COLUMNS)
    lines = path.with_suffix(".ndjson")
    lines.write_bytes(b"\n".join(orjson.dumps({**empty, "client_id": key, "key": key}) for key in keys))
    with lines.open("rb") as source, path.open("wb") as target:
        write_rows(source, target, "xlsx", key_columns=columns)
    return path


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_what_a_workbook_of_answers_says_is_read_as_it_was(keys: list[str]) -> None:
    """Line breaks, blanks, control characters and texts that look like an escape."""
    with tempfile.TemporaryDirectory() as folder:
        table = ExcelTable(written(Path(folder) / "a.xlsx", keys))
        assert [cells for _, cells in table.cells(["client_id", "key"])] == [[key, key] for key in keys]


@given(TEXTS)
def test_an_escaped_text_is_xml_and_means_what_it_was(text: str) -> None:
    """And it is as it was wherever XML can hold it."""
    assert unescaped(escaped(text)) == text
    assert ET.fromstring(f"<t>{escaped(text).replace('&', '&amp;').replace('<', '&lt;')}</t>").text == escaped(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a_x000D_\nb"),
        ("a_x0041_b", "a_x005F_x0041_b"),
        ("_x0041", "_x0041"),
        ("_x0041\x1f", "_x005F_x0041_x001F_"),
        ("\ufffe", "_xFFFE_"),
        ("snake_x_case_é_😀", "snake_x_case_é_😀"),
    ],
)
def test_only_what_xml_cannot_hold_is_escaped(text: str, expected: str) -> None:
    """As Excel does."""
    assert escaped(text) == expected


def test_a_text_that_is_too_long_is_cut_within_no_escape(tmp_path: Path) -> None:
    """Excel takes 32,767 characters of a cell."""
    ((_, (found,)),) = ExcelTable(written(tmp_path / "a.xlsx", ["a" + "\x01" * 40_000])).cells(["key"])
    assert set(found) == {"a", "\x01"}
    assert 32_760 <= len(escaped(found)) <= 32_767


def test_a_key_s_column_of_any_name_is_written(tmp_path: Path) -> None:
    """Control characters of PostgreSQL's names do not fail the whole file."""
    columns = [{"name": "a\x1f_x0041_", "type": "text"}, {"name": "b", "type": "text"}]
    path = tmp_path / "a.xlsx"
    lines = tmp_path / "a.ndjson"
    row = {**dict.fromkeys(RESULT_COLUMNS), "client_id": {"a\x1f_x0041_": "x", "b": "y"}, "key": '["x", "y"]'}
    lines.write_bytes(orjson.dumps(row))
    with lines.open("rb") as source, path.open("wb") as target:
        write_rows(source, target, "xlsx", key_columns=columns)
    assert [name for name in ExcelTable(path).names if name.startswith("key_")] == ["key_a\x1f_x0041_", "key_b"]


def test_texts_that_cells_share_mean_what_excel_means(tmp_path: Path) -> None:
    """Excel keeps texts beside the sheet, and escapes a carriage return as well as what looks like an escape."""
    import openpyxl

    good, path = tmp_path / "good.xlsx", tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    for value in ("no", "ONE", "TWO", "THREE"):
        book.active.append([value])
    book.save(good)
    meant = {"ONE": "a_x000D_\nb", "TWO": "a_x005F_x000D_b", "THREE": "_x00E9_t_x00e9_"}
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for part in source.namelist():
            content = source.read(part).decode()
            for word, text in meant.items():
                content = content.replace(f">{word}<", f">{text}<")
            target.writestr(part, content)
    assert [cells for _, cells in ExcelTable(path).cells()] == [["a\r\nb"], ["a_x000D_b"], ["été"]]
