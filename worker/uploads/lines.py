"""Rows as lines for the planner: key, spelling and features with tabs between, each fit for an array in a COPY."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO

import orjson

from shared.files.refusals import TableRefused
from shared.uploads.key_lines import array_element
from shared.uploads.refusals import LineFault, UploadRefused
from worker.uploads.context import UploadContext
from worker.uploads.matching import match_columns
from worker.uploads.opening import open_file
from worker.uploads.rows import TableRow, TableRows, faults_of

_PIECE = 1 << 18


def table_rows(context: UploadContext, *, tells_values: bool) -> TableRows:
    """The rows of a file. Raises UploadRefused."""
    order, signature = context.order, context.signature
    try:
        opened = open_file(context.path, order)
    except TableRefused as refused:
        raise UploadRefused(faults_of(refused)) from None
    columns = match_columns(opened.table.names, context.form, signature, order.columns)
    return TableRows(opened, columns, context.form, signature, order.decimal, order.dates, tells_values)


def check_rows(rows: TableRows, *, most: int) -> int:
    """Read all rows once, and count them. Raises UploadRefused."""
    count = 0
    for row in rows:
        count += 1
        if count > most:
            raise UploadRefused([LineFault(row.line, "too_many_rows", f"an upload may hold {most:,} rows; cut it")])
    if not count:
        raise UploadRefused([LineFault(1, "no_rows", "the file has a header and no row")])
    return count


def write_lines(rows: TableRows, target: IO[bytes], *, skip: int) -> None:
    """All rows but the first `skip`, in order."""
    piece: list[bytes] = []
    size = 0
    for line in _lines(islice(iter(rows), skip, None), is_text=rows.form.storage == "text"):
        piece.append(line)
        size += len(line)
        if size > _PIECE:
            target.write(b"".join(piece))
            piece, size = [], 0
    target.write(b"".join(piece))


def _lines(rows: Iterator[TableRow], *, is_text: bool) -> Iterator[bytes]:
    for row in rows:
        key = spelled = given = ""
        if row.key is not None:
            key = array_element(row.key.canonical) if is_text else row.key.canonical
            if row.key.spelled is not None:
                spelled = orjson.dumps(row.key.spelled).decode()
        if row.features is not None:
            given = array_element(orjson.dumps(row.features).decode())
        yield f"{key}\t{spelled}\t{given}\n".encode()
