"""The first record of CSV: whether it names the columns of the key, and what to say where it does not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from shared.uploads.key_lines import BLANKS
from shared.uploads.keys import KeyForm
from shared.uploads.refusals import LineFault, UploadRefused

CLIENT_ID = "client_id"
_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def key_names(form: KeyForm) -> tuple[tuple[str, ...], ...]:
    """The sets of columns that may hold the key: `client_id` where it is one column, or the key's own names."""
    own = tuple(column.name for column in form.columns)
    return ((CLIENT_ID,), own) if len(own) == 1 and own[0] != CLIENT_ID else (own,)


def find_columns(record: Sequence[str], form: KeyForm, line: int) -> tuple[int, ...] | None:
    """Where the key's columns stand, in key order; None where the record does not name them.

    Raises UploadRefused for a name that stands twice, and where it cannot be told which column is the key.
    """
    names = [cell.strip(BLANKS) for cell in record]
    folded = [name.lower() for name in names]
    found = [wanted for wanted in key_names(form) if all(_position(names, folded, name) is not None for name in wanted)]
    if not found:
        return None
    twice = [name for name, times in Counter(names).items() if times > 1 and name]
    twice += [name for name in sum(found, ()) if name not in names and folded.count(name.lower()) > 1]
    if twice:
        raise UploadRefused([LineFault(line, "duplicate_column", f"the column {twice[0][:80]!r} stands twice")])
    over_lines = [name for name in names if "\n" in name]
    if over_lines:  # allowed in CSV, but it has always been a quote that was forgotten, and it hides clients
        detail = f"the name of a column goes over several lines: {over_lines[0][:80]!r}. Is a quote missing?"
        raise UploadRefused([LineFault(line, "not_csv", detail)])
    if len(found) > 1:
        both = " and ".join(repr(group[0]) for group in found)
        raise UploadRefused([LineFault(line, "duplicate_column", f"{both} may both be the key: leave one of them out")])
    return tuple(position for name in found[0] if (position := _position(names, folded, name)) is not None)


def _position(names: Sequence[str], folded: Sequence[str], name: str) -> int | None:
    """By its name as it is, or else in whatever case."""
    if name in names:
        return names.index(name)
    return folded.index(name.lower()) if name.lower() in folded else None


def is_like_a_heading(cell: str, form: KeyForm) -> bool:
    """Whether a first line of one cell names the key's column beside others, or nearly: then it is nobody's key.

    Of other separators than commas the whole line is one cell, which may well be a key of texts.
    """
    if cell.strip(BLANKS).lower() in _SEPARATOR_LINES:
        return True
    names = {_letters(name) for name in (CLIENT_ID, *(column.name for column in form.columns))} - {""}
    return any(_letters(part) in names for part in _PARTS.split(cell))


_PARTS = re.compile(f"[{''.join(_OTHER_DELIMITERS)}]")
_SEPARATOR_LINES = {f"sep={mark}" for mark in _OTHER_DELIMITERS}  # the first line of a file that was made for Excel


def _letters(name: str) -> str:
    """A name without what people write in different ways: `Client-ID` is `client_id`."""
    return "".join(filter(str.isalnum, name.casefold()))


def missing_columns(record: Sequence[str], form: KeyForm, line: int) -> LineFault:
    """Says what the first line must be."""
    wanted = " or ".join(", ".join(group) for group in key_names(form))
    if len(form.columns) == 1:
        detail = f"the first line must name a column {wanted}, or every line must be one client id and nothing else"
    else:
        detail = f"the first line must name the columns {wanted}"
    found = ",".join(record)
    other = other_delimiter(record)
    hint = ""
    if other is not None:
        hint = (
            f"; separate columns by commas, not by {other}, or send it as a table (predictq bulk --file FILE; over "
            "HTTP as an upload that is looked at first, by /look)"
        )
    return LineFault(line, "missing_column", f"{detail}{hint}; this line is {found[:80]!r}")


def other_delimiter(record: Sequence[str]) -> str | None:
    """What seems to separate the columns of a record in the place of commas, in words."""
    return next((name for mark, name in _OTHER_DELIMITERS.items() if len(record) == 1 and mark in record[0]), None)
