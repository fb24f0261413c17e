"""What is wrong with an upload, by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import PredictqError

MOST_FAULTS = 20  # named for one upload: enough to see the pattern


@dataclass(frozen=True, slots=True)
class LineFault:
    """One thing wrong with one record: the number of its first line, from 1; what, for programs and for people."""

    line: int
    code: str
    detail: str  # a sentence that begins after "line 7: "

    def __str__(self) -> str:
        return f"line {self.line}: {self.detail}"


class UploadRefused(PredictqError):
    """An upload holds what is not exactly a record, so none of it is taken. `faults` are the first, twenty at most."""

    tells_values = True

    def __init__(self, faults: Sequence[LineFault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)
