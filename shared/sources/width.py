"""How many rows make a page: by the width of a source's rows, as it was measured when the source was checked."""

from __future__ import annotations

from collections.abc import Iterable

from shared.sources.source import Source

PAGE_BYTES = 8_000_000  # of features in a page, which a worker opens as a whole


def rows_of_a_page(source: Source | None, features: Iterable[str], *, most: int) -> int:
    """How many rows with these features make a page of some 8 MB, at most `most`; that where nobody measured."""
    widths = {} if source is None else source.measured.get("column_bytes") or {}
    width = sum(widths.get(name, 0) for name in features)
    return max(1, min(most, int(PAGE_BYTES / width))) if width else most
