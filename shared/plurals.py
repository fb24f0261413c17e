"""Numbers of things in English words: `1 row`, `2,000 rows`."""

from __future__ import annotations


def count_of(number: int, one: str, many: str | None = None) -> str:
    """`number` of what is called `one`; `many` is the word for several where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
