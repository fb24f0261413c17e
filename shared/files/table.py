"""A table in a file, whatever the file: names, rows, and the types that its columns have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from shared.files import moments, numbers
from shared.files.column_types import ALIASES, INTEGER_LIMITS, TYPES, Dress, Misfit, read_value
from shared.files.guessing import ColumnGuess
from shared.files.refusals import MOST_FAULTS, CellFault, CellsRefused, TableRefused
from shared.files.typed_text import TypedText
from shared.sentences import Sentence

MOST_NAME_BYTES = 63  # PostgreSQL cuts longer ones without a word
_KNOWN_TEXTS = 5_000
_OWN_DRESS = Dress()  # of values that their file types
_OF_ONE_DRESS = frozenset({"text", "uuid", "boolean"})
_NUMBERS = frozenset({*INTEGER_LIMITS, "numeric", "double precision"})
_ORDERS = {"dmy": moments.DAY_FIRST, "mdy": moments.MONTH_FIRST, "iso": moments.ISO}


class TableFile(Protocol):
    """Rows of texts that can be read from the start again, and types where the file itself says them.

    Where the file types a single value, its text is a `TypedText`.
    """

    @property
    def names(self) -> Sequence[str]:
        """Of the columns, in file order."""

    @property
    def known_types(self) -> Mapping[str, str]:
        """By name: what the file itself states. The others are guessed."""

    @property
    def may_use_comma(self) -> bool:
        """Whether its numbers may well have a decimal comma, although none shows it."""

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """The rows with the number of their first line. Raises TableRefused."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is read."""

    name: str
    position: int  # in the file
    type: str  # PostgreSQL's name
    dress: Dress
    nulls: int = 0
    odd: tuple[int, str] | None = None  # line and value for which it is text and nothing narrower
    kept_words: Mapping[str, int] = field(default_factory=dict)  # of a text: words like NA, and how often they stand
    blank_ends: int = 0  # values that begin or end with a blank, which a text keeps


def parse_types(pairs: Sequence[str]) -> dict[str, tuple[str, Dress | None]]:
    """`col=text`, `col=date:dmy`, `col=numeric:€` or `col=text:nulls`, by column. Raises TableRefused."""
    found = {}
    for pair in pairs:
        name, equals, wanted = pair.rpartition("=")
        kind, colon, written = wanted.strip().partition(":")
        kind = ALIASES.get(kind.lower(), kind.lower())
        dress = _given_dress(kind, written) if colon else None
        if not equals or kind not in TYPES or (colon and dress is None):
            raise TableRefused(f"--types {pair}: write it as COLUMN=TYPE, with one of {', '.join(TYPES)}")
        found[name.strip()] = (kind, dress)
    return found


def _given_dress(kind: str, written: str) -> Dress | None:
    """What a user said of how values are written; None where that cannot be said of this type."""
    if kind in _NUMBERS:
        return Dress(unit=written.upper()) if written.upper() in numbers.UNITS else None
    if kind == "text":
        return Dress(has_null_words=True) if written.lower() == "nulls" else None
    return Dress(order=_ORDERS[written.lower()]) if written.lower() in _ORDERS else None


def check_names(names: Sequence[str], *, most_bytes: int | None = None) -> None:
    """Raises TableRefused where a column has no name of its own; with `most_bytes` also where that is longer."""
    for position, name in enumerate(names, 1):
        if not name:
            text = f"line 1: column {position} has no name; give it one, or delete the column"
            raise TableRefused(Sentence(text, "column_without_name", position=position))
        if most_bytes is not None and len(name.encode()) > most_bytes:
            raise TableRefused(
                f"line 1: the name of column {position} is too long: {name[:80]!r}; {most_bytes} bytes are the most"
            )
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
            raise TableRefused(f"line 1: the name of column {position}, {name[:80]!r}, holds a control character")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableRefused(Sentence(f"line 1: the column {twice[0]!r} stands twice", "column_twice", name=twice[0]))


def infer(
    table: TableFile,
    types: Mapping[str, tuple[str, Dress | None]],
    *,
    decimal: str | None = None,
    most_name_bytes: int | None = None,
    on_row: Callable[[int], None] = lambda _: None,
    is_enough: Callable[[], bool] = lambda: False,
) -> tuple[list[Column], int]:
    """The columns with their types, seen over all rows, and how many rows there are.

    `is_enough` is asked every 2,000 rows; where it says so, no more rows are seen or counted.

    `types` are the user's own, `most_name_bytes` what a name may have where it is to be one in PostgreSQL.
    Raises TableRefused; CellsRefused with the values that leave a type open.
    """
    check_names(table.names, most_bytes=most_name_bytes)
    unknown = [name for name in types if name not in table.names]
    if unknown:
        raise TableRefused(f"--types {unknown[0]}: the file has no such column; it has {', '.join(table.names)[:500]}")
    guesses = [
        ColumnGuess(name, decimal, _settled_type(types.get(name)), _unit(types.get(name))) for name in table.names
    ]
    count = 0
    for line, row in table.rows():
        count += 1
        for guess, text in zip(guesses, row, strict=True):
            guess.see(line, text)
        if count % 2_000 == 0:
            on_row(line)
            if is_enough():
                break
    has_point = any(guess.needs_point for guess in guesses)
    file_uses_comma = any(guess.needs_comma for guess in guesses) or (table.may_use_comma and not has_point)
    found = [
        _column(position, guess, types.get(guess.name), table.known_types.get(guess.name), file_uses_comma)
        for position, guess in enumerate(guesses)
    ]
    faults = [column for column in found if isinstance(column, CellFault)]
    if faults:
        raise OpenTypes(faults)
    return [column for column in found if isinstance(column, Column)], count


def _settled_type(given: tuple[str, Dress | None] | None) -> str | None:
    """The type that was given without a word on how its values are written, but for a sign beside them."""
    return given[0] if given is not None and (given[1] is None or given[1].unit) else None


def _unit(given: tuple[str, Dress | None] | None) -> str:
    return given[1].unit if given is not None and given[1] is not None else ""


def _column(
    position: int, guess: ColumnGuess, given: tuple[str, Dress | None] | None, known: str | None, comma: bool
) -> Column | CellFault:
    decided = _decide(guess, given, known, comma)
    if isinstance(decided, CellFault):
        return decided
    kind, dress = decided
    like_null = sum(guess.like_null.values()) if dress.has_null_words else 0
    nulls = guess.empty + (like_null if kind == "text" else guess.null_words)
    kept = dict(guess.like_null) if kind == "text" and not dress.has_null_words else {}
    odd = guess.odd if kind == "text" and given is None and known is None else None
    return Column(guess.name, position, kind, dress, nulls, odd, kept, guess.blank_ends if kind == "text" else 0)


class OpenTypes(TableRefused):
    """Columns whose type cannot be told; each fault says what to type."""

    tells_values = True

    def __init__(self, faults: Sequence[CellFault]) -> None:
        super().__init__("nothing was imported: " + "; ".join(map(_shown, faults[:MOST_FAULTS])))
        self.problems = tuple(faults)


def _shown(fault: CellFault) -> str:
    return str(fault) if fault.line else f"column {fault.column}: {fault.reason}"


def _decide(
    guess: ColumnGuess, given: tuple[str, Dress | None] | None, known: str | None, comma: bool
) -> tuple[str, Dress] | CellFault:
    """The user's word counts, then the file's, then what was seen. How values are written is seen in any case."""
    if given is None and known is not None:
        return known, Dress()
    guessed = guess.decide(comma)
    if given is None:
        return guessed
    kind, dress = given
    if dress is not None and not dress.unit:
        return kind, dress
    if not isinstance(guessed, CellFault):
        return kind, replace(guessed[1], unit=_unit(given))
    return (kind, Dress()) if kind in _OF_ONE_DRESS else guessed


def converted_rows(
    table: TableFile, columns: Sequence[Column], on_row: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[int, list[str]]]:
    """All rows as PostgreSQL reads them, an empty text for null, columns in the order given.

    Raises CellsRefused at the end where values do not fit; until then only rows that fit are given.
    """
    readers = [_Reader(column) for column in columns]
    faults: list[CellFault] = []
    count = 0
    for number, (line, row) in enumerate(table.rows()):
        values = []
        for reader in readers:
            try:
                values.append(reader.read(row[reader.column.position]))
            except Misfit as misfit:
                count += 1
                if len(faults) < MOST_FAULTS:
                    faults.append(CellFault(line, reader.column.name, str(misfit)))
        if not count:
            yield line, values
        if number % 2_000 == 0:
            on_row(line)
    if faults:
        raise CellsRefused(faults, count)


class _Reader:
    """One column; the few texts that most rows share are read once."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self._known: dict[str, str] = {}
        self._typed: dict[str, str] = {}

    def read(self, text: str) -> str:
        is_typed = isinstance(text, TypedText)
        known = self._typed if is_typed else self._known
        value = known.get(text)
        if value is None:
            value = read_value(text, self.column.type, _OWN_DRESS if is_typed else self.column.dress)
            if len(known) < _KNOWN_TEXTS:
                known[text] = value
        return value
