"""What is wrong with a table in a file: where, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import PredictqError

MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class CellFault:
    """One value, or one line, that cannot be read."""

    line: int  # the first line of its record; of a sheet, its row
    column: str | None  # None where the record as a whole is wrong
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {f'{self.column}: ' if self.column else ''}{self.reason}"


class TableRefused(PredictqError):
    """A file cannot be read as a table, so nothing of it was written. The text says what to type next."""


class CellsRefused(TableRefused):
    """Values that do not fit their columns: `count` in all, and the first twenty."""

    tells_values = True

    def __init__(self, faults: Sequence[CellFault], count: int) -> None:
        values = "value does" if count == 1 else "values do"
        super().__init__(f"nothing was imported, {count:,} {values} not fit: {faults[0]}")
        self.problems = tuple(faults)
        self.count = count


class PlacesRefused(TableRefused):
    """Places at which a table shows something else than it holds: the first twenty. The text is that of the first."""

    def __init__(self, faults: Sequence[CellFault]) -> None:
        super().__init__(str(faults[0]))
        self.problems = tuple(faults[:MOST_FAULTS])
