"""The column to learn: which task it stands for, its classes, and the rows that have it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.errors import DataRefused
from shared.models.task import Task

LEAST_PER_CLASS = 10  # below this a fold or a test set may lack the class
LEAST_ROWS = 50  # of a regression
MOST_CLASSES = 50

# Pairs of words of which the second is plainly the positive one, in lower case.
_PLAIN_PAIRS = (
    ("0", "1"), ("0.0", "1.0"), ("-1", "1"), ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("non", "oui"),
    ("nein", "ja"), ("negative", "positive"), ("neg", "pos"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is learnt.

    `values`, (rows,), are what the estimator is fitted on: the user's own classes, or floats. `classes` are those of
    the data: of a binary target the negative one and then the positive one, else sorted; of a regression none.
    """

    name: str
    task: Task
    values: NDArray[Any]
    classes: tuple[Any, ...]

    @property
    def codes(self) -> NDArray[np.int64]:
        """The place of each row's class in `classes`, (rows,)."""
        return np.asarray(pd.Index(self.classes, dtype=self.values.dtype).get_indexer(pd.Index(self.values)), np.int64)

    @property
    def columns(self) -> list[int]:
        """For each of `classes` the column of `predict_proba`, whose order is the sorted one."""
        order = np.unique(np.array(self.classes, dtype=self.values.dtype)).tolist()  # a part of the rows may lack one
        return [order.index(one) for one in self.classes]

    def take(self, rows: NDArray[np.int64]) -> Target:
        """The same of some rows."""
        return Target(self.name, self.task, self.values[rows], self.classes)


def read_target(column: pd.Series, *, task: Task | None = None, positive: str | None = None) -> Target:
    """The target in `column`, which has no missing value.

    `task` None: two values are `binary`, words `multiclass`, other numbers `regression`. `positive` names the positive
    class as text; None where it is plain. Raises DataRefused where nothing can be learnt, or it is not clear what.
    """
    name = str(column.name)
    column = _as_booleans(column)
    if column.empty:
        raise DataRefused(f"The target {name} is empty in every row.")
    task = task or _task_of(column)
    if task is Task.REGRESSION:
        return _regression(name, column, positive)
    values = _class_values(column)
    counts = Counter(values.tolist())
    _check_classes(name, counts, task)
    classes = tuple(np.unique(values).tolist())
    if task is Task.BINARY:
        classes = _in_order(name, classes, positive)
    elif positive is not None:
        raise DataRefused(f"A positive class is for targets of two classes; {name} has {len(classes)}.")
    return Target(name, task, values, classes)


def _as_booleans(column: pd.Series) -> pd.Series:
    """The column as booleans where it holds nothing else: beside a gap they were objects."""
    is_boolean = column.dtype == object and column.map(lambda value: isinstance(value, (bool, np.bool_))).all()
    return column.astype(bool) if is_boolean and len(column) else column


def _task_of(column: pd.Series) -> Task:
    distinct = column.nunique()
    if distinct <= 2:
        return Task.BINARY
    return Task.REGRESSION if _is_number(column) else Task.MULTICLASS


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _regression(name: str, column: pd.Series, positive: str | None) -> Target:
    if positive is not None:
        raise DataRefused(f"A positive class is for targets of two classes; {name} is learnt as a number.")
    if not _is_number(column):
        raise DataRefused(f"The target {name} holds {str(column.iloc[0])[:80]!r}: a regression needs numbers.")
    values = column.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise DataRefused(f"The target {name} is infinite in some rows: correct them, or leave them out.")
    if len(values) < LEAST_ROWS:
        raise DataRefused(f"A regression needs at least {LEAST_ROWS} rows with {name}; the data has {len(values)}.")
    return Target(name, Task.REGRESSION, values, ())


def _class_values(column: pd.Series) -> NDArray[Any]:
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy(dtype=np.int64)
    if _is_number(column):
        numbers = column.to_numpy(dtype=np.float64)
        return numbers.astype(np.int64) if (numbers == np.rint(numbers)).all() else numbers
    return column.map(str).to_numpy(dtype=object)


def _check_classes(name: str, counts: Counter[Any], task: Task) -> None:
    if len(counts) > MOST_CLASSES:
        raise DataRefused(
            f"The target {name} has {len(counts):,} different values, and at most {MOST_CLASSES} classes are learnt."
        )
    if task is Task.BINARY and len(counts) != 2:
        found = ", ".join(repr(one) for one in list(counts)[:5])
        raise DataRefused(f"The target {name} must have two classes; the data has {len(counts)}: {found}")
    if len(counts) < 2:
        raise DataRefused(f"The target {name} is the same in every row: nothing can be learnt.")
    rarest, rows = min(counts.items(), key=lambda item: item[1])
    if rows < LEAST_PER_CLASS:
        raise DataRefused(
            f"Training needs at least {LEAST_PER_CLASS} rows of each class; {name} is {rarest!r} in {rows} of "
            f"{counts.total():,} rows. Give it more rows."
        )


def _in_order(name: str, classes: tuple[Any, ...], positive: str | None) -> tuple[Any, ...]:
    """Negative, positive."""
    texts = [str(one) for one in classes]
    if positive is not None:
        if positive not in texts:
            raise DataRefused(f"The target {name} is {texts[0]!r} or {texts[1]!r}, never {positive!r}.")
        place = texts.index(positive)
    else:
        place = _plain_positive(name, texts)
    return classes[1 - place], classes[place]


def _plain_positive(name: str, texts: list[str]) -> int:
    words = [text.strip().lower() for text in texts]
    for pair in _PLAIN_PAIRS:
        if sorted(words) == sorted(pair):
            return words.index(pair[1])
    raise DataRefused(
        f"The target {name} is {texts[0]!r} or {texts[1]!r}: name the class whose probability is wanted, "
        f"for example --positive {texts[1]!r}"
    )
