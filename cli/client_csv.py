"""A CSV file of clients: every row checked before any is written, each refusal with its line and reason."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, BinaryIO

from cli.errors import FileRefused
from model.columns import column_name, parse_boolean
from shared.errors import PredictqError
from shared.models.signature import FeatureKind, FeatureSpec, check_value
from shared.sources.sample_features import CLIENT_FEATURE_NAMES, CLIENT_FEATURES, IGNORED_COLUMNS, TARGET

SHOWN_PROBLEMS = 20
CLIENT_ID = "client_id"
HIGHEST_ID = 2**63 - 1
KNOWN_TEXTS = 5_000  # per column: the few values that most rows share are checked once
PROGRESS_LINES = 2_000

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}(\.0*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row cannot be loaded. `column` is None where the row as a whole is wrong."""

    line: int  # the first line of the row; the header is line 1
    column: str | None
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.column + ': ' if self.column else ''}{self.reason}"


class RowsRefused(PredictqError):
    """A file has rows that cannot be loaded, so none is: `count` rows, and what is wrong with the first 20."""

    def __init__(self, problems: Sequence[RowProblem], count: int) -> None:
        rows = "row is" if count == 1 else "rows are"
        super().__init__(
            f"nothing was imported, {count:,} {rows} wrong: {problems[0]}. Correct the file and try again."
        )
        self.problems = tuple(problems)
        self.count = count


def check_csv(
    source: BinaryIO, target: IO[bytes], *, ignore_extra: bool = False, on_bytes: Callable[[int], None]
) -> int:
    """Check `source` and write its rows to `target` as `shared.sources.clients.load_clients` takes them, numbered.

    Memory is flat in the number of rows. `on_bytes` is told how many bytes are read. Returns the number of rows.

    Raises:
        FileRefused: the header is not one of a client file; the text names the columns.
        RowsRefused: at least one row is wrong; all are checked before it is raised.

    """
    problems = _Problems()
    rows = _rows(source, problems, on_bytes)
    header = next(rows, (1, []))[1]
    columns = _columns(header, ignore_extra=ignore_extra)
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    write = csv.writer(text, lineterminator="\n").writerow
    count = 0
    for line, row in rows:
        if len(row) != len(header):
            problems.add(line, [(None, f"has {len(row)} fields, the header has {len(header)}")])
            continue
        values, wrong = _check_row(columns, row)
        if wrong:
            problems.add(line, wrong)
        elif not problems.count:
            write((line, *values))
            count += 1
    text.detach()  # flushes, and leaves the file open
    if problems.count:
        raise RowsRefused(problems.first, problems.count)
    return count


Wrong = list[tuple[str | None, str]]  # column and reason


class _Problems:
    """How many rows are wrong, and what is wrong with the first of them."""

    def __init__(self) -> None:
        self.first: list[RowProblem] = []
        self.count = 0

    def add(self, line: int, wrong: Wrong) -> None:
        self.count += 1
        room = SHOWN_PROBLEMS - len(self.first)
        self.first += [RowProblem(line, column, reason) for column, reason in wrong[:room]]


def _rows(source: BinaryIO, problems: _Problems, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    reader = csv.reader(_lines(source, problems, on_bytes), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(line, [(None, f"is not CSV: {error}")])
            continue
        if row:
            yield line, row


def _lines(source: BinaryIO, problems: _Problems, on_bytes: Callable[[int], None]) -> Iterator[str]:
    size = 0
    for number, raw in enumerate(source, 1):
        size += len(raw)
        if number % PROGRESS_LINES == 0:
            on_bytes(size)
        line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        try:
            yield line.decode()
        except UnicodeDecodeError:
            problems.add(number, [(None, "is not UTF-8 text")])
            yield line.decode(errors="replace")
    on_bytes(size)


class _Wrong(Exception):
    """A field's text is no value of its column."""


class _Column:
    """One column of the file: where it stands, and what its texts mean."""

    def __init__(self, name: str, position: int, spec: FeatureSpec | None) -> None:
        self.name, self.position, self.spec = name, position, spec  # no spec: the client id
        self.known: dict[str, str] = {}

    def read(self, text: str) -> str:
        """The text for PostgreSQL, empty for null. Raises _Wrong."""
        known = self.known.get(text)
        if known is None:
            known = _client_id(text.strip()) if self.spec is None else _feature(self.spec, text.strip())
            if self.spec is not None and len(self.known) < KNOWN_TEXTS:
                self.known[text] = known
        return known


def _columns(header: Sequence[str], *, ignore_extra: bool) -> list[_Column]:
    """The columns in the order in which they are loaded. Raises FileRefused."""
    if not header:
        raise FileRefused("the file is empty: its first line must name the columns")
    names = [_column_name(title) for title in header]
    wanted = (CLIENT_ID, *CLIENT_FEATURE_NAMES)
    missing = [name for name in wanted if name not in names]
    known = {*wanted, *IGNORED_COLUMNS, TARGET}  # the last two: what labelled data has beside its features
    extra = [title for title, name in zip(header, names, strict=True) if name not in known]
    twice = [name for name in wanted if names.count(name) > 1]
    if missing:
        hint = " (is the delimiter a comma?)" if len(header) == 1 else ""
        raise FileRefused(f"the header lacks {', '.join(missing)}{hint}")
    if twice:
        raise FileRefused(f"the header has {', '.join(twice)} more than once")
    if extra and not ignore_extra:
        raise FileRefused(f"the header has unknown columns: {', '.join(extra)}; --ignore-extra leaves them out")
    specs = {spec.name: spec for spec in CLIENT_FEATURES}
    return [_Column(name, names.index(name), specs.get(name)) for name in wanted]


def _column_name(title: str) -> str:
    name = column_name(title)
    return CLIENT_ID if name == "employee_number" else name


def _check_row(columns: Sequence[_Column], row: Sequence[str]) -> tuple[list[str], Wrong]:
    values: list[str] = []
    wrong: Wrong = []
    for column in columns:
        try:
            values.append(column.read(row[column.position]))
        except _Wrong as error:
            wrong.append((column.name, str(error)))
    return values, wrong


def _client_id(text: str) -> str:
    if not _WHOLE.fullmatch(text) or not 1 <= (number := int(text.partition(".")[0])) <= HIGHEST_ID:
        raise _Wrong(f"must be a whole number from 1 to {HIGHEST_ID}; got {text[:80]!r}")
    return str(number)


def _feature(spec: FeatureSpec, text: str) -> str:
    if not text:
        return ""  # null: whether that can be scored is for the model to say
    value = _value(spec, text)
    problem = check_value(spec, value)
    if problem is not None:
        raise _Wrong(problem.detail.removeprefix(f"{spec.name} "))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(spec: FeatureSpec, text: str) -> bool | int | float | str:
    if spec.kind is FeatureKind.BOOLEAN:
        try:
            return parse_boolean(text)
        except ValueError as error:
            raise _Wrong(str(error)) from None
    if spec.kind is FeatureKind.INTEGER:
        if not _WHOLE.fullmatch(text):
            raise _Wrong(f"must be a whole number; got {text[:80]!r}")
        return int(text.partition(".")[0])
    if spec.kind is FeatureKind.NUMBER:
        return _number(text)
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise _Wrong(f"must be a number; got {text[:80]!r}") from None
