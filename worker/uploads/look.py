"""What a caller is shown of a file before its job is sent: how it is written, what columns are for, what is wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from shared.errors import PredictqError
from shared.files.column_types import WORDS_LIKE_NULL
from shared.files.csv_table import CsvTable
from shared.files.refusals import TableRefused
from shared.models.feature import FeatureKind
from shared.sentences import Sentence, members_of
from shared.uploads.headings import key_names
from shared.uploads.refusals import LineFault, UploadRefused
from worker.uploads.context import UploadContext
from worker.uploads.matching import MatchedColumns, match_columns
from worker.uploads.opening import OpenedFile, open_file, sheets_of
from worker.uploads.rows import SeenInPart, TableRows, faults_of

# For how CSV is written, and as long again for the rows. A longer file is checked as a whole when its job is planned.
_SECONDS = 10.0
_EXAMPLES = 3
_LONGEST = 80  # characters of an example


def look(context: UploadContext) -> dict[str, Any]:
    """What was understood, as `api.schemas.uploads.UploadLook` describes it."""
    order, form = context.order, context.form
    signature = context.signature
    own = key_names(form)[-1]
    said: dict[str, Any] = {
        "key": list(own),
        "features": list(signature.names) if signature else [],
        "sheets": sheets_of(context.path),
    }
    try:
        opened = open_file(context.path, order)
    except TableRefused as refused:
        return {**said, "problems": _problems(faults_of(refused))}
    columns = match_columns(opened.table.names, form, signature, order.columns)
    examples = _examples(opened)
    said |= {
        "format": opened.format,
        "sheet": opened.sheet,
        "separator": opened.separator,
        "encoding": opened.encoding,
        "columns": _columns(opened, own, columns, {}, examples),
    }
    count, is_whole = 0, False
    words: dict[str, dict[str, int]] = {}
    try:
        rows = TableRows(
            opened, columns, form, signature, order.decimal, order.dates, tells_values=True, most_seconds=_SECONDS
        )
        said["columns"] = _columns(opened, own, columns, rows.written, examples)
        count, is_whole = _count(rows, words)
        for column in said["columns"] if signature else ():
            column["null_words"] = words.get(column["stands_for"], {}) if column["use"] == "feature" else {}
        problems = [] if count else [LineFault(1, "no_rows", Sentence("the file has a header and no row", "no_rows"))]
    except SeenInPart:
        problems = []
    except UploadRefused as refused:
        problems = list(refused.faults)
    return {**said, "rows": count, "is_whole": is_whole, "problems": _problems(problems)}


def _count(rows: TableRows, words: dict[str, dict[str, int]]) -> tuple[int, bool]:
    """How many rows there are, and whether that is all; into `words`, by feature, how often a word like NA is kept."""
    features = rows.signature.features if rows.signature else ()
    texts = [spec for spec in features if spec.kind is FeatureKind.CATEGORY]
    ends_at = time.monotonic() + _SECONDS
    count = 0
    for row in rows:
        count += 1
        for spec in texts:
            word = (row.features or {}).get(spec.name)
            if word in WORDS_LIKE_NULL and word not in (spec.categories or ()):
                seen = words.setdefault(spec.name, {})
                seen[word] = seen.get(word, 0) + 1
        if count % 1_000 == 0 and time.monotonic() > ends_at:
            return count, False
    return count, rows.seen is None


def _problems(faults: Sequence[LineFault]) -> list[dict[str, Any]]:
    return [
        {"line": fault.line, "code": fault.code, "detail": fault.detail, **members_of(fault.detail)} for fault in faults
    ]


def _columns(
    opened: OpenedFile,
    own: Sequence[str],
    columns: MatchedColumns,
    written: Mapping[str, Any],
    examples: Sequence[Sequence[str]],
) -> list[dict[str, Any]]:
    """The file's columns. `own` are the names of the key in its source."""
    uses = {column: ("feature", name) for name, column in columns.features.items()}
    uses |= {column: ("key", name) for name, column in zip(own, columns.key or (), strict=False)}
    found: list[dict[str, Any]] = []
    for position, name in enumerate(opened.table.names):
        use, stands_for = uses.get(name, ("ignored", None))
        column = written.get(name)
        found.append(
            {
                "name": name,
                "use": use,
                "stands_for": stands_for,
                "written": column.dress.in_words(column.type) if column is not None else "",
                "examples": [row[position] for row in examples if row[position]],
                "null_words": {},
            }
        )
    return found


def _examples(opened: OpenedFile) -> list[list[str]]:
    """The first rows as texts; none where the file cannot be read so far."""
    try:
        rows = list(islice(opened.table.rows(), _EXAMPLES))
    except PredictqError:
        return []
    is_csv = isinstance(opened.table, CsvTable)
    return [[(cell.strip() if is_csv else cell)[:_LONGEST] for cell in row] for _, row in rows]
