"""What a sheet of Excel hides from whoever reads its values: hidden rows, merged cells, formulas without a value.

And rows and cells out of order, which openpyxl leaves out.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from shared.files.refusals import MOST_FAULTS, CellFault, TableRefused

_PIECE = 1 << 18
_CELL = re.compile(r"([A-Z]{1,3})([0-9]+)")
_DIGITS = "0123456789"
_OUT_OF_ORDER = "open it in Excel, save it and look for what is missing"


@dataclass(frozen=True, slots=True)
class HiddenFact:
    """A place at which a sheet is not what it seems, and which columns it spoils; None: all of them."""

    columns: range | None  # positions, from 0
    fault: CellFault


def hidden_facts(path: Path, part: str, *, names: Sequence[str]) -> list[HiddenFact]:
    """Where a sheet is not what it seems: the first twenty places of each column. `part` is its place in the file.

    Raises TableRefused where it cannot be read.
    """
    facts = _Facts(names)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = facts.start
    parser.EndElementHandler = facts.end
    parser.CharacterDataHandler = facts.text
    parser.EntityDeclHandler = _refuse_entities  # a sheet has none; a bomb has
    try:
        with zipfile.ZipFile(path) as archive, archive.open(part) as sheet:
            while piece := sheet.read(_PIECE):
                parser.Parse(piece, False)
    except (expat.ExpatError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError) as error:
        raise TableRefused(f"{path} cannot be read as a workbook of Excel ({type(error).__name__})") from None
    return facts.found


class _Facts:
    """Follows the elements of a sheet."""

    def __init__(self, names: Sequence[str]) -> None:
        self.found: list[HiddenFact] = []
        self._counts: Counter[range | None] = Counter()
        self._names = names
        self._row = 0
        self._cell = ""
        self._place = 0  # of the cell before in its row, from 1
        self._has_formula = self._has_value = self._is_in_value = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        kind = element.rpartition(" ")[2]
        if kind == "c":
            self._cell, self._has_formula = attributes.get("r", ""), False
            self._note_cell_order()
            self._has_value = attributes.get("t") == "str"  # a formula's text, which may be empty
        elif kind == "f":
            self._has_formula = True
        elif kind == "v":
            self._is_in_value = True
        elif kind == "row":
            self._start_row(attributes)
        elif kind == "mergeCell":
            self._note_merge(attributes.get("ref", ""))

    def text(self, _: str) -> None:
        """Some text."""
        self._has_value = self._has_value or self._is_in_value

    def end(self, element: str) -> None:
        """An element ends."""
        self._is_in_value = False
        if self._has_formula and not self._has_value and element.rpartition(" ")[2] == "c":
            words = "the cell has a formula and no value: open the file in Excel, let it calculate, and save it"
            self._note(_columns(self._cell), CellFault(self._row, self._column(self._cell), words))

    def _note(self, columns: range | None, fault: CellFault) -> None:
        self._counts[columns] += 1
        if self._counts[columns] <= MOST_FAULTS:
            self.found.append(HiddenFact(columns, fault))

    def _start_row(self, attributes: dict[str, str]) -> None:
        before, self._place = self._row, 0
        self._row = int(attributes.get("r", self._row + 1))
        if self._row <= before:
            words = f"the file has this row after row {before}: {_OUT_OF_ORDER}"
            self._note(None, CellFault(self._row, None, words))
        if attributes.get("hidden") in ("1", "true"):
            words = "by a filter, perhaps. Show all rows, and delete those that are not meant"
            self._note(None, CellFault(self._row, None, f"the row is hidden, {words}"))

    def _note_cell_order(self) -> None:
        """Whatever column it is in: the cells that get lost are others."""
        before = self._place
        self._place = _position(self._cell.rstrip(_DIGITS).upper()) + 1 if self._cell else before + 1
        if self._place <= before:
            words = (
                f"the file has the cell {self._cell[:40]} after another to the right of it, or twice: {_OUT_OF_ORDER}"
            )
            self._note(None, CellFault(self._row, self._column(self._cell), words))

    def _note_merge(self, ref: str) -> None:
        first = _CELL.match(ref)
        row = int(first[2]) if first else 1
        words = f"the cells {ref[:40]} are merged, and only the first has a value: take them apart, and fill each in"
        self._note(_columns(ref), CellFault(row, self._column(ref), words))

    def _column(self, ref: str) -> str:
        """The name of a cell's column, or its letters where it has none."""
        columns, found = _columns(ref), _CELL.match(ref)
        if columns is None or found is None:
            return "column"
        name = self._names[columns.start] if columns.start < len(self._names) else ""
        return name or f"column {found[1]}"


def _columns(ref: str) -> range | None:
    """The positions, from 0, of the columns of a cell or of a range of cells; None where that cannot be told."""
    found = _CELL.findall(ref)
    if not found:
        return None
    first, last = (_position(letters) for letters, _ in (found[0], found[-1]))
    return range(first, last + 1)


def _position(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _refuse_entities(*_: object) -> None:
    raise TableRefused("the workbook declares entities of XML, which no sheet of Excel needs")
