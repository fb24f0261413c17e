"""The CSV of a COPY as Arrow columns: at once where Arrow takes every value, else column by column.

An infinite date, one before Christ or after the year 9999, or a fraction in a column of whole numbers makes Arrow
refuse the whole text. Then only the rows that hold such a value are refused here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from worker.sources.columns import ColumnPlan, ReadingPlan

_BLOCK_BYTES = 1 << 24
_INT64_END = 2.0**63
_MARK = "\ufeff".encode()
_KEY = "\0"  # the column of keys: no feature is called so

Misfits = dict[int, str]  # the feature whose value does not fit, by row


def parse(data: memoryview, plan: ReadingPlan, *, is_number: bool) -> tuple[pa.Array, pa.Table, Misfits]:
    """The keys, as numbers or as texts, the features, and which rows hold a value that does not fit.

    A value that does not fit is null in the features.
    """
    key = pa.int64() if is_number else pa.string()
    misfits: Misfits = {}
    if not len(data):
        return pa.array([], key), _table([pa.array([], column.final) for column in plan.columns], plan), misfits
    try:
        table = _read(data, _options(plan, is_number=is_number))
        if plan.is_plain:
            return _chunk(table.column(0)), table.remove_column(0), misfits
        columns = _columns(table)
    except pa.ArrowInvalid:
        texts = _columns(_read(data, _options(plan, is_number=None)))
        columns = [texts[0].cast(key)]
        for column, found in zip(plan.columns, texts[1:], strict=True):
            columns.append(_fitting(found, column, misfits))
    features = [_final(found, column, misfits) for column, found in zip(plan.columns, columns[1:], strict=True)]
    return columns[0], _table(features, plan), misfits


def _table(features: list[pa.Array], plan: ReadingPlan) -> pa.Table:
    return pa.Table.from_arrays(features, names=plan.names)


def _read(data: memoryview, options: dict[str, Any]) -> pa.Table:
    if data[:3] == _MARK:  # Arrow takes it for a file's and drops it, once; here it is of the first key
        data = memoryview(_MARK + bytes(data))
    if len(data) >= _BLOCK_BYTES:  # one block all the same: one dictionary per column, and no row across two
        names = options["read_options"].column_names
        read = pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1)
        options = {**options, "read_options": read}
    return pa_csv.read_csv(pa.py_buffer(data), **options)


@lru_cache(maxsize=64)
def _options(plan: ReadingPlan, *, is_number: bool | None) -> dict[str, Any]:
    """How the text is parsed; without `is_number` every column is taken for text."""
    if is_number is None:
        types = dict.fromkeys((_KEY, *plan.names), pa.string())
    else:
        types = {_KEY: pa.int64() if is_number else pa.string()}
        types |= {column.name: column.parsed for column in plan.columns}
    return {
        "read_options": pa_csv.ReadOptions(column_names=list(types), use_threads=False, block_size=_BLOCK_BYTES),
        "parse_options": pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        "convert_options": pa_csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    }


def _columns(table: pa.Table) -> list[pa.Array]:
    return list(map(_chunk, table.columns))


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _fitting(texts: pa.Array, plan: ColumnPlan, misfits: Misfits) -> pa.Array:
    """The column of texts in its type, null where a text is none of the type."""
    found = _cast(texts, plan.parsed)
    if found is not None:
        return found
    encoded = texts.dictionary_encode()
    words = encoded.dictionary
    fits = np.array([_cast(words.slice(place, 1), plan.parsed) is not None for place in range(len(words))], np.bool_)
    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    wrong = ~fits[codes] & texts.is_valid().to_numpy(zero_copy_only=False)
    _note(wrong, plan, misfits)
    kept = pc.if_else(pa.array(wrong), pa.scalar(None, pa.string()), texts)
    column = _cast(kept, plan.parsed)
    assert column is not None
    return column


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """The texts as `kind`, or None where one is not."""
    try:
        if pa.types.is_boolean(kind):
            # Of a column that is no longer boolean every other text would be False, in silence.
            found = pc.equal(texts, "t")
            are_flags = pc.or_(found, pc.equal(texts, "f"))
            return found if pc.all(are_flags, min_count=0).as_py() else None
        return texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    except pa.ArrowInvalid:
        return None


def _final(column: pa.Array, plan: ColumnPlan, misfits: Misfits) -> pa.Array:
    """The parsed column as the feature travels; numbers that stand for whole numbers or truth values are checked."""
    if column.type == plan.final:
        return column
    values = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(plan.final):
        wrong = (values != 0) & (values != 1)
    else:
        wrong = ~((values == np.floor(values)) & (np.abs(values) < _INT64_END))
    wrong &= column.is_valid().to_numpy(zero_copy_only=False)
    _note(wrong, plan, misfits)
    kept = pc.if_else(pa.array(wrong), pa.scalar(None, column.type), column)
    return kept.cast(pa.int64()).cast(plan.final)


def _note(wrong: npt.NDArray[np.bool_], plan: ColumnPlan, misfits: Misfits) -> None:
    for row in np.flatnonzero(wrong):
        misfits.setdefault(int(row), plan.name)
