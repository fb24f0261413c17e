"""Texts of values that have a type in their file already, as cells of Excel and columns of Parquet have."""

from __future__ import annotations


class TypedText(str):
    """A number, a day, a moment or a flag that its file types, as text: with a decimal point and by ISO 8601.

    Nothing is to be guessed of how it is written, and it says nothing of how texts beside it are.
    """

    __slots__ = ()
