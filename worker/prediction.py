"""Prediction of a batch: one predict_proba for all rows, and a search for the poisonous ones when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from shared.signature import Signature
from shared.status import RowError
from worker.answers import Answers, StatedError
from worker.rows import Rows
from worker.validation import find_errors

Predict = Callable[[pd.DataFrame], npt.NDArray[np.float64]]


class PredictionFailed(Exception):
    """The model did not answer for these rows: it raised, hung, or ended its process."""


def predict_rows(rows: Rows, signature: Signature, predict: Predict) -> Answers:
    """One answer or stated error per row.

    `predict` maps a frame of n rows to n probabilities, or raises. A row for which it raises even when alone
    gets the error; its neighbours get their answers.
    """
    answers = Answers(np.full(len(rows), np.nan), find_errors(rows, signature))
    good = np.ones(len(rows), dtype=np.bool_)
    good[list(answers.errors)] = False
    numbers = np.flatnonzero(good)
    if len(numbers):
        table = rows.features if len(numbers) == len(rows) else rows.features.filter(pa.array(good))
        _predict_part(to_frame(table), numbers, predict, answers)
    return answers


def to_frame(features: pa.Table) -> pd.DataFrame:
    """The pandas frame that models are trained on: integers with gaps become floats with NaN."""
    frame: pd.DataFrame = features.to_pandas()
    return frame


def _predict_part(frame: pd.DataFrame, numbers: npt.NDArray[np.intp], predict: Predict, answers: Answers) -> None:
    try:
        probabilities = _checked(predict(frame), len(frame))
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises must not cost its neighbours
        if len(frame) == 1:
            answers.errors[int(numbers[0])] = StatedError(RowError.MODEL_FAILED, _words(error))
            return
        middle = len(frame) // 2
        _predict_part(frame.iloc[:middle], numbers[:middle], predict, answers)
        _predict_part(frame.iloc[middle:], numbers[middle:], predict, answers)
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


def _words(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0][:500]
    if isinstance(error, PredictionFailed):
        return text
    return f"the model raised {type(error).__name__}: {text}"
