"""Cutting lines that are keys of a source: a job has each of them once."""

from __future__ import annotations

import re

from shared.jobs.planning import PlannedPage
from worker.planning.page_cutter import LineCutter
from worker.planning.spool import KeySpool


class KeyCutter(LineCutter):
    """Cuts keys in their order. Lines of one key follow each other, in one page or on both sides of its end."""

    def __init__(self, spool: KeySpool, *, planned: int, most_rows: int) -> None:
        super().__init__(spool, planned=planned, most_rows=most_rows)
        self._last: bytes | None = None  # the last line that was cut off

    def _page(self, lines: list[bytes]) -> PlannedPage | None:
        """The page of these lines; None where all are of the key with which the page before ended."""
        keys = list(dict.fromkeys(lines))
        if keys[0] == self._last:
            del keys[0]
        self._last = lines[-1]
        self.planned += len(keys)
        return PlannedPage(b",".join(keys), len(keys), canonical(keys[-1])) if keys else None


def canonical(line: bytes) -> str:
    """The canonical key in a line of COPY's text format that holds it as an element of an array."""
    text = _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), line.decode())
    return _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text


_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
