"""Cutting lines that are keys of a source: a job has each of them once."""

from __future__ import annotations

from shared.jobs.planning import PlannedPage
from worker.planning.key_lines import CanonicalLine, as_it_is, key_text
from worker.planning.page_cutter import LineCutter
from worker.planning.spool import KeySpool


class KeyCutter(LineCutter):
    """Cuts keys in their order. Lines of one key follow each other, in one page or on both sides of its end."""

    def __init__(self, spool: KeySpool, *, planned: int, most_rows: int, canonical: CanonicalLine = as_it_is) -> None:
        super().__init__(spool, planned=planned, most_rows=most_rows)
        self._canonical = canonical
        self._last: bytes | None = None  # the last line that was cut off

    def _page(self, lines: list[bytes]) -> PlannedPage | None:
        """The page of these lines; None where all are of the key with which the page before ended."""
        keys = list(dict.fromkeys(map(self._canonical, lines)))
        if keys[0] == self._last:
            del keys[0]
        self._last = self._canonical(lines[-1])
        self.planned += len(keys)
        return PlannedPage(b",".join(keys), len(keys), key_text(keys[-1])) if keys else None
