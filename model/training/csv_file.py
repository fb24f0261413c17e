"""Labelled rows from a CSV file of any columns, each read as numbers, booleans, times or words."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from model.errors import DataRefused
from shared.sentences import count_of

_BOOLEAN_WORDS = {"yes": True, "no": False, "true": True, "false": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_EXACT = 2**53
_MOST_DIGITS = 30  # that are read as a number
_MOSTLY = 0.9  # above this share of numbers the other texts of a column are taken for mistakes


def read_rows(path: Path | str, target: str, *, drop: Collection[str] = ()) -> pd.DataFrame:
    """The rows of a CSV file in UTF-8 with commas and a header. Only an empty field is a missing value.

    Columns of Yes and No or of true and false become booleans, ISO 8601 dates become times; `target` keeps the words
    that it has, and columns in `drop` are not looked at. Raises DataRefused where the file cannot be read, or where a
    column is numbers but for some words, or whole numbers that would be rounded.
    """
    try:
        names = _checked_header(path)
        rows = pd.read_csv(
            path, names=names, header=0, keep_default_na=False, na_values=[""], encoding="utf-8-sig", low_memory=False
        )
    except OSError as error:
        raise DataRefused(f"{path}: cannot be read: {error.strerror}") from error
    except (csv.Error, pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataRefused(f"{path}: is not a CSV file with a header line in UTF-8: {error}") from error
    if rows.empty:
        raise DataRefused(f"{path}: has no row below its header")
    untouched = {target, *drop}
    for name in rows.columns.difference(list(untouched), sort=False):
        _refuse_rounded(path, names, rows[name])
    return pd.DataFrame({name: rows[name] if name in untouched else _read(path, rows[name]) for name in rows})


def _checked_header(path: Path | str) -> list[str]:
    """The names of the columns, once every row is known to have as many fields."""
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        names = [title.strip() for title in next(lines, [])]
        if not names:
            raise DataRefused(f"{path}: is empty: its first line must name the columns")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataRefused(f"{path}: the column {twice[0]} occurs twice")
        for row in lines:
            if len(row) not in (0, len(names)):
                has, columns = count_of(len(row), "field"), count_of(len(names), "column")
                raise DataRefused(f"{path}: line {lines.line_num} has {has}, and the header names {columns}")
    return names


def _refuse_rounded(path: Path | str, names: list[str], column: pd.Series) -> None:
    """Whole numbers with gaps are doubles, which have no word for every one beyond 2⁵³: a worker refuses such a row."""
    if column.dtype != "float64" or not (column.abs() >= _EXACT).any():
        return
    texts = pd.read_csv(
        path, names=names, header=0, keep_default_na=False, encoding="utf-8-sig", usecols=[column.name], dtype=str
    )[column.name]
    if not texts[column.notna()].str.fullmatch(_WHOLE).all():
        return
    wrong = texts[column.abs() >= _EXACT]
    wrong = wrong[[len(text) > _MOST_DIGITS or abs(int(text)) > _EXACT for text in wrong]]
    if len(wrong):
        raise DataRefused(
            f"{path}: row {wrong.index[0] + 1}: {column.name} is {wrong.iloc[0][:80]}, and whole numbers beyond 2⁵³ in "
            f"a column with gaps would be rounded. Fill the gaps, or leave the column out with --drop {column.name}"
        )


def _read(path: Path | str, column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):  # booleans among them
        return column
    texts = column.dropna().astype(str)
    lower = texts.str.strip().str.lower()
    if lower.isin(list(_BOOLEAN_WORDS)).all():
        return column.astype(str).str.strip().str.lower().map(_BOOLEAN_WORDS).where(column.notna())
    if texts.str.fullmatch(_TIME).all():
        return _times(column)
    _refuse_mistakes(path, column, texts)
    return column


def _times(column: pd.Series) -> pd.Series:
    has_zone = column.dropna().astype(str).str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).any()
    try:
        return pd.to_datetime(column, format="ISO8601", utc=bool(has_zone))
    except ValueError:  # the 31st of February: they are words then
        return column


def _refuse_mistakes(path: Path | str, column: pd.Series, texts: pd.Series) -> None:
    is_number = pd.to_numeric(texts, errors="coerce").notna()
    if _MOSTLY <= is_number.mean() < 1:
        row = texts.index[~is_number][0]
        share = f"{is_number.mean():.0%}"
        raise DataRefused(
            f"{path}: row {row + 1}: {column.name} is {texts[row][:80]!r}, and a number in {share} of the rows. "
            f"Correct it, leave the field empty, or leave the column out with --drop {column.name}"
        )
