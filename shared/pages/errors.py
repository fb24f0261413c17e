"""What can be wrong with a page of features, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import error as StructError  # noqa: N812 - the module calls it error

from shared.errors import PredictqError


class PageError(PredictqError):
    """Base of every error of a page of features."""


class PageFormatUnknown(PageError):
    """The page was written in a format that this code does not know."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The page has format {number}. This version of predictq reads format 1: upgrade predictq.")


class PageDamaged(PageError):
    """The bytes of the page end too early, or contradict each other."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"The page of features is damaged: {detail}.")


class RowOutOfRange(PageError):
    """The page has no row of that number."""

    def __init__(self, row: int, rows: int) -> None:
        super().__init__(f"The page has {rows:,} rows, counted from 0; there is no row {row}.")


class PageRefused(PageError):
    """These features cannot be written as a page."""


class NulRefused(PageRefused):
    """A text among the features holds the character NUL."""

    def __init__(self) -> None:
        super().__init__("A text with the character NUL cannot be a feature: PostgreSQL has no such text.")


class PageTooLarge(PageRefused):
    """More rows or bytes than a page may have."""

    def __init__(self, what: str, found: int, most: int) -> None:
        super().__init__(f"A page holds at most {most:,} {what}, not {found:,}.")


@contextmanager
def damage_named() -> Iterator[None]:
    """Whatever nonsense in a page's bytes leads to while they are read is a PageDamaged."""
    try:
        yield
    except (StructError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise PageDamaged(str(error).partition("\n")[0][:200] or type(error).__name__) from error
