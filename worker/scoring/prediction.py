"""Prediction of a batch: one predict_proba for all rows, and a search for the poisonous ones when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.models.signature import Signature
from shared.status import RowError
from worker.scoring.answers import Answers, StatedError
from worker.scoring.feature_reader import Rows
from worker.scoring.row_checks import find_errors

Predict = Callable[[pa.Table], npt.NDArray[np.float64]]


class PredictionFailed(Exception):
    """The model did not answer for these rows: it raised, hung, or ended its process."""


def predict_rows(rows: Rows, signature: Signature, predict: Predict) -> Answers:
    """One answer or stated error per row.

    `predict` maps a table of n rows to n probabilities, or raises. A row for which it raises even when alone
    gets the error; its neighbours get their answers.
    """
    answers = Answers(np.full(len(rows), np.nan), find_errors(rows, signature))
    good = np.ones(len(rows), dtype=np.bool_)
    good[list(answers.errors)] = False
    numbers = np.flatnonzero(good)
    if len(numbers):
        table = rows.features if len(numbers) == len(rows) else rows.features.filter(pa.array(good))
        _predict_part(table, numbers, predict, answers)
    return answers


def _predict_part(table: pa.Table, numbers: npt.NDArray[np.intp], predict: Predict, answers: Answers) -> None:
    try:
        probabilities = _checked(predict(table), table.num_rows)
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises must not cost its neighbours
        if table.num_rows == 1:
            answers.errors[int(numbers[0])] = StatedError(RowError.MODEL_FAILED, _words(error))
            return
        middle = table.num_rows // 2
        _predict_part(table.slice(0, middle), numbers[:middle], predict, answers)
        _predict_part(table.slice(middle), numbers[middle:], predict, answers)
        return
    answers.probabilities[numbers] = probabilities
    for number in numbers[~((probabilities >= 0) & (probabilities <= 1))]:
        value = answers.probabilities[number]
        answers.errors[int(number)] = StatedError(
            RowError.INVALID_PROBABILITY, f"the model answered {value}, which is no probability"
        )


def _checked(probabilities: Any, count: int) -> npt.NDArray[np.float64]:
    array = np.asarray(probabilities, dtype=np.float64)
    if array.shape != (count,):
        raise PredictionFailed(f"the model answered with shape {array.shape} for {count} rows")
    return array


def storable(text: str) -> str:
    """The first line of `text`, at most 500 characters, without what PostgreSQL cannot store."""
    line = text.strip().partition("\n")[0][:500].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return line.encode(errors="replace").decode()


def _words(error: Exception) -> str:
    text = storable(str(error))
    if isinstance(error, PredictionFailed):
        return text
    return f"the model raised {type(error).__name__}: {text}"
