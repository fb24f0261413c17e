"""The rows of a table as keys and features, or what is wrong with the first of them by line and column."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from model.files.arrow_table import ArrowTable
from shared.files.column_types import Dress, Misfit, read_value
from shared.files.csv_table import CsvTable
from shared.files.flag_words import SHOWN
from shared.files.refusals import CellFault, PlacesRefused, TableRefused
from shared.files.table import Column, OpenTypes, infer
from shared.models.feature import FeatureKind, FeatureSpec, shown
from shared.models.signature import Signature
from shared.sentences import Sentence, retold, sentence_of, without_value
from shared.uploads.cell_values import key_text, value_of_cell
from shared.uploads.csv_keys import TEXTS, bare_cell
from shared.uploads.feature_values import ValueRefused, reason_of, value_of_text
from shared.uploads.keys import ClientKey, KeyColumn, KeyForm, KeyRefused
from shared.uploads.refusals import MOST_FAULTS, LineFault, UploadRefused
from worker.uploads.matching import MatchedColumns
from worker.uploads.opening import OpenedFile
from worker.uploads.text_cells import ORDERS, column_type, value_of_text_cell

_OF_TYPES = re.compile(r", or keep (the column|it) as text: --types '.*?'|; correct them, or keep it as text.*")
_OF_COLUMN = re.compile(r"[:;] --types COLUMN=.*")  # an upload's columns have the types that the model wants
_OF_DAYS = re.compile(r"--types '.*?=\w+:(dmy|mdy)'")
_OPTION = re.compile(r"--(sheet|separator|decimal|encoding)\b")
_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)
_WANTED = {
    FeatureKind.INTEGER: "a whole number",
    FeatureKind.NUMBER: "a number",
    FeatureKind.BOOLEAN: SHOWN,
    FeatureKind.CATEGORY: "a text",
    FeatureKind.DATETIME: "a date or a time",
}


class SeenInPart(Exception):
    """The rows that were seen in the time given leave open how a column is written; those after them may tell."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its line, its key where the file has one, its features where the job's come with the file."""

    line: int
    key: ClientKey | None
    features: Mapping[str, Any] | None


@dataclass
class TableRows:
    """The rows of an upload, which can be read from the start again. `tells_values`: whether faults repeat a value.

    Where `most_seconds` did not suffice to see how a whole CSV file is written, only the `seen` rows are given.
    """

    opened: OpenedFile
    columns: MatchedColumns
    form: KeyForm
    signature: Signature | None
    decimal: str | None = None
    dates: str | None = None
    tells_values: bool = False
    most_seconds: float | None = None
    seen: int | None = field(default=None, init=False)  # rows; None where that was all of them
    written: dict[str, Column] = field(default_factory=dict)  # of CSV: how each column is written

    def __post_init__(self) -> None:
        """Looks through a CSV file once, to see how it is written. Raises UploadRefused."""
        self.columns.require()
        if isinstance(self.opened.table, CsvTable):
            self.written = self._see(self.opened.table)

    def __iter__(self) -> Iterator[TableRow]:
        """All rows in order. Raises UploadRefused with the first twenty faults."""
        faults: list[LineFault] = []
        try:
            for line, cells in islice(self._cells(), self.seen):
                row = self._row(line, cells, faults)
                if len(faults) >= MOST_FAULTS:
                    break
                if not faults:
                    yield row
        except TableRefused as refused:
            faults += faults_of(refused)
        if faults:
            raise UploadRefused(sorted(faults, key=lambda fault: fault.line)[:MOST_FAULTS])

    @property
    def _wanted(self) -> list[str]:
        """The file's columns that are read: those of the key, then those of the features."""
        return [*(self.columns.key or ()), *self.columns.features.values()]

    def _cells(self) -> Iterator[tuple[int, Sequence[Any]]]:
        table, wanted = self.opened.table, self._wanted
        if isinstance(table, ArrowTable):
            for name in wanted:
                table.type_of(name)
        if not isinstance(table, CsvTable):
            yield from table.cells(wanted)
            return
        positions = [table.names.index(name) for name in wanted]
        for line, row in table.rows():
            yield line, [row[position] for position in positions]

    def _row(self, line: int, cells: Sequence[Any], faults: list[LineFault]) -> TableRow:
        width = len(self.columns.key or ())
        key = self._key(line, cells[:width], faults) if width else None
        if self.signature is None:
            return TableRow(line, key, None)
        features = {}
        for spec, cell in zip(self.signature.features, cells[width:], strict=True):
            try:
                features[spec.name] = self._value(spec, cell)
            except (ValueRefused, Misfit) as error:
                faults.append(LineFault(line, "invalid_feature", self._words(spec, error)))
        return TableRow(line, key, features)

    def _key(self, line: int, cells: Sequence[Any], faults: list[LineFault]) -> ClientKey | None:
        names = self.columns.key or ()
        try:
            texts = [self._key_text(*part) for part in zip(names, self.form.columns, cells, strict=True)]
            if len(texts) == 1 or not all(texts):
                return self.form.parse_text(texts[texts.index("")] if "" in texts else texts[0])
            own = [column.name for column in self.form.columns]
            return self.form.parse_fields(dict(zip(own, texts, strict=True)))
        except (KeyRefused, Misfit) as error:
            detail = error.detail if isinstance(error, KeyRefused) else self._of_day(error)
            said = retold(detail, f"{', '.join(names)} {detail}", name=", ".join(names))
            faults.append(LineFault(line, "invalid_client_id", said))
            return None

    def _key_text(self, name: str, part: KeyColumn, cell: Any) -> str:
        column = self.written.get(name)
        order = ORDERS.get(self.dates or "")
        if column is None and order and part.type == "date" and isinstance(cell, str):
            return read_value(cell, "date", Dress(order=order))
        if column is None:
            return key_text(cell, keeps_blanks=part.type in TEXTS)
        if part.type == "date":  # days alone have a spelling of their own in each country
            return read_value(cell, "date", column.dress)
        return bare_cell(part, str(cell))  # a key is what is written, 007 too

    def _value(self, spec: FeatureSpec, cell: Any) -> Any:
        column = self.written.get(self.columns.features[spec.name])
        if column is None:
            is_text = isinstance(cell, str)
            return value_of_text_cell(spec, cell, self.decimal, self.dates) if is_text else value_of_cell(spec, cell)
        return value_of_text(spec, read_value(cell, column.type, column.dress))

    def _of_day(self, error: Misfit) -> str:
        """What is wrong with a key that is a day, which alone has spellings."""
        wanted = Sentence("must be a day such as 2024-12-31", "not_a_day")
        return sentence_of(error) if self.tells_values else wanted

    def _words(self, spec: FeatureSpec, error: Exception) -> str:
        if not self.tells_values:
            return Sentence(f"{shown(spec.name)} must be {_WANTED[spec.kind]}", reason_of(spec), name=spec.name)
        if isinstance(error, ValueRefused):
            return error.detail
        words = in_fields(_OF_COLUMN.sub("", str(error)))
        return retold(sentence_of(error), f"{shown(spec.name)}: {words}", name=spec.name)

    def _see(self, table: CsvTable) -> dict[str, Column]:
        kinds = {self.columns.features[spec.name]: column_type(spec) for spec in (self.signature or _NOTHING).features}
        for name, column in zip(self.columns.key or (), self.form.columns, strict=False):
            kinds.setdefault(name, "date" if column.type == "date" else "text")
        ignored = {name: "text" for name in table.names if name not in self._wanted}
        ends_at = math.inf if self.most_seconds is None else time.monotonic() + self.most_seconds
        types = {name: (kind, self._said_of(name, kind)) for name, kind in {**kinds, **ignored}.items()}
        is_cut = False

        def is_enough() -> bool:
            nonlocal is_cut
            is_cut = time.monotonic() > ends_at
            return is_cut

        try:
            columns, count = infer(table, types, decimal=self.decimal, is_enough=is_enough)
        except TableRefused as refused:
            if is_cut and isinstance(refused, OpenTypes):
                raise SeenInPart from None
            raise UploadRefused(faults_of(refused, tells_values=self.tells_values)) from None
        self.seen = count if is_cut else None
        return {column.name: column for column in columns}

    def _said_of(self, name: str, kind: str) -> Dress | None:
        """How the caller says that the days of a column are written; None of a column that has none."""
        order = ORDERS.get(self.dates or "")
        of_key = dict(zip(self.columns.key or (), self.form.columns, strict=False))
        has_days = kind.startswith("timestamp") or (name in of_key and of_key[name].type == "date")
        return Dress(order=order) if order and has_days else None


_NOTHING = Signature(())


def faults_of(refused: TableRefused, *, tells_values: bool = True) -> list[LineFault]:
    """What is wrong with a table as faults of an upload: the text may name a line, or has several that do."""
    if isinstance(refused, OpenTypes):
        return [_of_cell(fault, tells_values) for fault in refused.problems]
    if isinstance(refused, PlacesRefused):
        return [_of_place(fault) for fault in refused.problems]
    words = in_fields(str(refused).removeprefix("nothing was imported: "))
    found = _LINE.match(words)
    said = retold(sentence_of(refused), found[2] if found else words)
    return [LineFault(int(found[1]) if found else 1, "not_a_table", said)]


def _of_cell(fault: CellFault, tells_values: bool) -> LineFault:
    column = f"{fault.column}: " if fault.column else ""
    reason = fault.reason if tells_values else without_value(fault.reason)
    said = retold(reason, in_fields(f"{column}{reason}"), name=fault.column)
    return LineFault(fault.line or 1, "open_type", said)


def _of_place(fault: CellFault) -> LineFault:
    column = f"{fault.column}: " if fault.column else ""
    return LineFault(fault.line, "not_a_table", retold(fault.reason, f"{column}{fault.reason}"))


def in_fields(words: str) -> str:
    """What the reader of files says to the command line, for callers of the interface: fields in the place of options.

    The command line writes them as options again.
    """
    return _OPTION.sub(r"`\1`", _OF_DAYS.sub(r"`dates` \1", _OF_TYPES.sub("", words)))
