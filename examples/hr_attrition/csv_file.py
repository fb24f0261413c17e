"""Training data from a CSV file: ours or the public data set's headers, every value checked, errors by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from examples.hr_attrition.features import FEATURE_NAMES, FEATURES, IGNORED_COLUMNS, TARGET
from model.columns import BOOLEAN_WORDS, column_name
from model.errors import DataRefused
from shared.models.signature import FeatureKind, FeatureSpec

HEADER_LINES = 1


def read_csv(path: Path | str) -> pd.DataFrame:
    """Read and check labelled clients.

    Returns the 30 features in signature order (int64; float64 with NaN where a number is left empty; bool;
    str) and `attrition` as int64 0 or 1. Other columns are ignored. Raises DataRefused, naming the missing
    columns or the line and the value that is wrong.
    """
    text = _read_text(Path(path))
    missing = [name for name in (*FEATURE_NAMES, TARGET) if name not in text]
    if missing:
        raise DataRefused(f"{path}: missing columns: {', '.join(missing)}")
    columns = {spec.name: _typed(text[spec.name], spec) for spec in FEATURES}
    columns[TARGET] = _booleans(text[TARGET]).astype(np.int64)
    return pd.DataFrame(columns)


def _read_text(path: Path) -> pd.DataFrame:
    try:
        # Blank lines are kept as rows, so that row numbers stay line numbers.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig")
    except OSError as error:
        raise DataRefused(f"{path}: cannot be read: {error.strerror}") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataRefused(f"{path}: is not a CSV file with a header line in UTF-8: {error}") from error
    if frame.empty:
        raise DataRefused(f"{path}: has no row below its header")
    frame.columns = pd.Index([column_name(header) for header in frame.columns])
    used = frame.loc[:, [name not in IGNORED_COLUMNS for name in frame.columns]]
    twice = used.columns[used.columns.duplicated()]
    if len(twice):
        raise DataRefused(f"{path}: the column {twice[0]} occurs twice")
    return pd.DataFrame({name: column.fillna("").str.strip() for name, column in used.items()})


def _typed(text: pd.Series, spec: FeatureSpec) -> pd.Series:
    if spec.kind is FeatureKind.BOOLEAN:
        return _booleans(text)
    if spec.kind is FeatureKind.CATEGORY:
        _refuse_first(text, ~text.isin(spec.categories), f"must be one of {', '.join(spec.categories)}")
        return text
    return _numbers(text, spec)


def _booleans(text: pd.Series) -> pd.Series:
    words = text.str.lower()
    _refuse_first(text, ~words.isin(list(BOOLEAN_WORDS)), "must be Yes, No, true, false, 1 or 0")
    return words.map(BOOLEAN_WORDS).astype(bool)


def _numbers(text: pd.Series, spec: FeatureSpec) -> pd.Series:
    values = pd.to_numeric(text.where(text != ""), errors="coerce").astype(float)
    whole = spec.kind is FeatureKind.INTEGER
    wrong = (values.isna() & (text != "")) | np.isinf(values)
    _refuse_first(text, wrong | (whole & values.notna() & (values != values.round())), "must be a whole number")
    low = -np.inf if spec.minimum is None else spec.minimum
    high = np.inf if spec.maximum is None else spec.maximum
    _refuse_first(text, (values < low) | (values > high), f"must be from {low:g} to {high:g}")
    return values if values.hasnans or not whole else values.astype(np.int64)


def _refuse_first(text: pd.Series, wrong: pd.Series, rule: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        line = row + HEADER_LINES + 1
        raise DataRefused(f"line {line}: {text.name} {rule}; got {str(text.iloc[row])[:80]!r}")
