"""Answers as files that are no text: Parquet, Arrow and Excel, made of the rows as the gateway gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from model.files.excel_text import escaped
from shared.errors import PredictqError
from shared.jobs.result_columns import RESULT_COLUMNS, key_part_column
from shared.models.feature import INT8_MAX, INT8_MIN

_EXACT_IN_EXCEL = 10**15  # whole numbers from here on lose digits when a workbook is opened
_LONGEST_CELL = 32_767  # characters
_LONGEST_ESCAPE = 7  # characters that stand for one
_ROWS = 50_000  # of one piece
_MOST_EXCEL_ROWS = 1_048_575  # beside the header

_WHOLE = frozenset({"smallint", "integer", "bigint"})  # types of a key's columns, as PostgreSQL names them

_TYPES = {
    "request_id": pa.string(),
    "probability": pa.float64(),
    "threshold": pa.float64(),
    "model_version": pa.int32(),
    "error_code": pa.string(),
    "error_detail": pa.string(),
    "model": pa.string(),
    "key": pa.string(),
    "value": pa.float64(),
}


def write_rows(
    lines: IO[bytes], target: IO[bytes], kind: str, *, key_columns: Sequence[Mapping[str, Any]] | None = None
) -> int:
    """Write NDJSON rows, which can be read twice, as `parquet`, `arrow` or `xlsx`; returns how many.

    Client ids are whole numbers where all of them are, of 64 bits, else texts. Where a key has several columns, as
    `key_columns` of its source says, each is a column at the end.

    Raises ExportRefused where Excel cannot hold the rows.
    """
    parts = {str(part["name"]): _part_type(part) for part in key_columns or ()} if len(key_columns or ()) > 1 else {}
    schema = _schema(lines, parts)
    lines.seek(0)
    if kind == "xlsx":
        return _write_excel(lines, target, schema, parts)
    writer: Any
    sink = pa.PythonFile(target, "w")  # never closed here: that would close `target`
    writer = pq.ParquetWriter(sink, schema) if kind == "parquet" else pa.ipc.new_file(sink, schema)
    count = 0
    with writer:
        for table in _tables(lines, schema, parts):
            writer.write_table(table)
            count += table.num_rows
    return count


def _part_type(part: Mapping[str, Any]) -> pa.DataType:
    return pa.int64() if part["type"] in _WHOLE else pa.string()


def _schema(lines: IO[bytes], parts: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns, from all rows: what client ids and labels are, and the classes of a model of more than two."""
    kinds: dict[str, set[type]] = {"client_id": set(), "label": set()}
    classes: dict[str, None] = {}
    for line in lines:
        row = orjson.loads(line)
        for name, found in kinds.items():
            if row[name] is not None:
                found.add(_kind(row[name]))
        classes.update(dict.fromkeys(row.get("probabilities") or ()))
    types = _TYPES | {name: _common(found) for name, found in kinds.items()}
    fields = [pa.field(name, types[name]) for name in RESULT_COLUMNS]
    scores = [pa.field(f"probability_{name}", pa.float64()) for name in classes]
    return pa.schema([*fields, *scores, *(pa.field(key_part_column(name), kind) for name, kind in parts.items())])


def _kind(value: Any) -> type:
    """Its type; of a whole number that has no place in a column of such ones, as older rows may have, text."""
    return str if type(value) is int and not _is_int64(value) else type(value)


def _is_int64(value: int) -> bool:
    return INT8_MIN <= value <= INT8_MAX


def _common(kinds: set[type]) -> pa.DataType:
    if kinds == {int}:
        return pa.int64()
    if kinds == {bool}:
        return pa.bool_()
    return pa.float64() if kinds in ({float}, {int, float}) else pa.string()


def _tables(lines: IO[bytes], schema: pa.Schema, parts: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    iterator = iter(lines)
    while piece := list(islice(iterator, _ROWS)):
        rows = [_plain(orjson.loads(line), schema, parts) for line in piece]
        yield pa.Table.from_pylist(rows, schema=schema)


def _plain(row: Mapping[str, Any], schema: pa.Schema, parts: Mapping[str, pa.DataType]) -> dict[str, Any]:
    found = dict(row) | _key_parts(row, parts)
    for name in ("client_id", "label"):
        if schema.field(name).type == pa.string() and found[name] is not None and not isinstance(found[name], str):
            found[name] = json.dumps(found[name], ensure_ascii=False)  # as PostgreSQL writes it in CSV
    for name, value in (found.pop("probabilities", None) or {}).items():
        found[f"probability_{name}"] = value
    return found


def _key_parts(row: Mapping[str, Any], parts: Mapping[str, pa.DataType]) -> dict[str, Any]:
    """The parts of a composite key by column, as the source has them; of a key that fits none, as it was written."""
    if not parts or row["client_id"] is None:
        return {}
    given = row["client_id"] if isinstance(row["client_id"], dict) else {}
    values = json.loads(row["key"]) if row["key"] is not None else [given.get(name) for name in parts]
    return {
        key_part_column(name): _part(value, kind) for (name, kind), value in zip(parts.items(), values, strict=True)
    }


def _part(value: Any, kind: pa.DataType) -> Any:
    if kind == pa.int64():
        try:
            number = int(value)
        except (TypeError, ValueError):
            return None  # no key of the source: the row's error says so
        return number if _is_int64(number) else None
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class ExportRefused(PredictqError):
    """The answers cannot be written as a file of this kind. The text says which can."""


def _cell(sheet: Any, value: Any) -> Any:
    """A value as Excel keeps it: texts as texts, whatever they begin with, and no digit lost."""
    if isinstance(value, float):
        cell = WriteOnlyCell(sheet, repr(value))  # openpyxl itself writes 16 digits, and some doubles need 17
        cell.data_type = "n"
        return cell
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _EXACT_IN_EXCEL:
        value = str(value)
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, _text_of_cell(value))
    cell.data_type = "s"  # a text that begins with = would be a formula
    return cell


def _text_of_cell(text: str) -> str:
    """A text as the workbook has it, cut where Excel cuts it, but within no escaped character."""
    text = text[:_LONGEST_CELL]
    while (excess := len(written := escaped(text)) - _LONGEST_CELL) > 0:
        text = text[: -(excess // _LONGEST_ESCAPE + 1)]
    return written


def _write_excel(lines: IO[bytes], target: IO[bytes], schema: pa.Schema, parts: Mapping[str, pa.DataType]) -> int:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("results")
    sheet.append([_cell(sheet, name) for name in schema.names])  # of columns of keys, which may hold anything
    count = 0
    for table in _tables(lines, schema, parts):
        count += table.num_rows
        if count > _MOST_EXCEL_ROWS:
            raise ExportRefused(f"An Excel sheet holds {_MOST_EXCEL_ROWS:,} rows: take Parquet or CSV instead.")
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            sheet.append([_cell(sheet, value) for value in row])
    book.save(target)
    return count
