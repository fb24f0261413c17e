"""Rows of features in CSV: columns named like the model's features, in any order, and perhaps a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from shared.models.signature import FeatureSpec, Signature
from shared.uploads import csv_records
from shared.uploads.csv_keys import fields, key_of_cells
from shared.uploads.feature_rows import RowCollector, rows_per_step
from shared.uploads.feature_values import ValueRefused, value_of_text, values_of_texts
from shared.uploads.headings import find_columns, key_names, other_delimiter
from shared.uploads.key_lines import BLANKS, KeyLines
from shared.uploads.keys import KeyForm
from shared.uploads.refusals import LineFault, UploadRefused

_Record = tuple[int, list[str]]  # with the number of its first line


class CsvFeatures:
    """Reads block after block. The first record names the columns; those that are neither feature nor key are left."""

    def __init__(self, form: KeyForm, signature: Signature) -> None:
        self._form = form
        self._signature = signature
        self._key: tuple[int, ...] | None = None  # where the key's columns stand
        self._features: list[tuple[FeatureSpec, int]] = []  # with the column of each; empty until the header was seen
        self._width = 0
        self._step = rows_per_step(len(signature.features))

    def end_of_records(self, block: bytes) -> int:
        """See RecordEnds."""
        return csv_records.end_of_records(block)

    def fault_of_endless(self, block: bytes, line: int) -> LineFault:
        """See RecordEnds."""
        return csv_records.fault_of_endless(block, line)

    def read(self, line: int, block: bytes) -> Iterator[KeyLines]:
        """The rows of whole records, the first of which stands on line `line`. Raises UploadRefused."""
        text = csv_records.require_strict(block, line)
        rows = RowCollector(self._form.storage)
        step: list[_Record] = []
        for first, record in csv_records.records(text, line):
            if csv_records.is_blank(record):
                rows.blank()
            elif not self._width:
                self._read_header(record, first)
            else:
                step.append((first, record))
            if len(step) == self._step:
                self._take(rows, step)
                step = []
                yield rows.part()
        self._take(rows, step)
        yield rows.last_part()

    def _read_header(self, record: list[str], line: int) -> None:
        names = [cell.strip(BLANKS) for cell in record]
        twice = [name for name, times in Counter(names).items() if times > 1 and name]
        if twice:
            raise UploadRefused([LineFault(line, "duplicate_column", f"the column {twice[0][:80]!r} stands twice")])
        lacking = [name for name in self._signature.names if name not in names]
        if lacking:
            detail = f"the first line must name every feature of the model; it lacks {', '.join(lacking[:20])[:400]}"
            mark = other_delimiter(record)
            if mark is not None:
                detail += (
                    f". It looks separated by {mark}: separate columns by commas, or send it as a table "
                    "(predictq bulk --file FILE --with-features)"
                )
            raise UploadRefused([LineFault(line, "missing_column", detail)])
        self._key = find_columns(record, self._form, line)
        own = [column.name for column in self._form.columns]
        if self._key is None and len(own) > 1 and (partial_key := set(own) & set(names) - set(self._signature.names)):
            detail = f"{min(partial_key)[:80]!r} is a part of the key only: name all of {key_names(self._form)[0]}"
            raise UploadRefused([LineFault(line, "missing_column", detail)])
        self._features = [(spec, names.index(spec.name)) for spec in self._signature.features]
        self._width = len(record)

    def _take(self, rows: RowCollector, records: Sequence[_Record]) -> None:
        """By columns, which is quicker, unless a closer look is needed."""
        values = self._by_columns(records)
        if values is None:
            for line, record in records:
                self._look_at(rows, line, record)
            return
        names = [spec.name for spec, _ in self._features]
        for (line, record), row in zip(records, zip(*values, strict=True), strict=True):
            self._take_key(rows, line, record)
            rows.take(dict(zip(names, row, strict=True)))

    def _by_columns(self, records: Sequence[_Record]) -> list[list[Any]] | None:
        """The values of each feature; None where one of them is none, or a record is not as wide as the first."""
        if not self._features or not all(len(record) == self._width for _, record in records):
            return None
        columns = list(zip(*[record for _, record in records], strict=True))
        try:
            return [values_of_texts(spec, columns[column]) for spec, column in self._features] if columns else None
        except ValueRefused:
            return None

    def _look_at(self, rows: RowCollector, line: int, record: list[str]) -> None:
        if len(record) != self._width:
            detail = f"has {fields(len(record))} where the first record has {self._width}"
            rows.refuse(line, detail, "wrong_fields")
            return
        self._take_key(rows, line, record)
        features = {}
        for spec, column in self._features:
            try:
                features[spec.name] = value_of_text(spec, record[column])
            except ValueRefused as refused:
                rows.refuse(line, refused.detail, "invalid_feature")
        rows.take(features)

    def _take_key(self, rows: RowCollector, line: int, record: list[str]) -> None:
        if self._key is None:
            return
        cells = [record[column] for column in self._key]
        if all(cell.strip(BLANKS) for cell in cells):
            rows.take_key(line, partial(key_of_cells, self._form), cells)
        else:
            names = ", ".join(column.name for column in self._form.columns)
            rows.refuse(line, f"has no {names}", "invalid_client_id")
