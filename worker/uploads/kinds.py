"""What kind of file an upload is, by its first bytes: its name, which a caller chose, does not matter."""

from __future__ import annotations

from pathlib import Path

from shared.files.refusals import TableRefused
from shared.sentences import Sentence

_MARKS = (
    (b"PK\x03\x04", "xlsx"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # a stream
    (b"\xd0\xcf\x11\xe0", "xls"),
)
_NAMES = {"xlsx": "workbook.xlsx", "parquet": "table.parquet", "arrow": "table.arrow", "csv": "table.csv"}


def kind_of(path: Path) -> str:
    """`xlsx`, `xls`, `parquet`, `arrow`, and `csv` for all else. Raises TableRefused for an empty file."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise TableRefused(Sentence("the file is empty", "empty_file"))
    return next((kind for mark, kind in _MARKS if start.startswith(mark)), "csv")


def name_by_kind(path: Path) -> Path:
    """The file under a name that its reader knows, and that may stand in a text for people."""
    try:
        return path.rename(path.parent / _NAMES[kind_of(path)])
    except (TableRefused, KeyError):  # it will be refused when it is opened
        return path
