"""Prediction of a batch: one call of the model for all rows, and a search for the poisonous ones when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.answering import Prediction, WrongAnswer
from shared.logging import get_logger
from shared.models.feature import shown
from shared.models.signature import Signature
from shared.models.task import Task
from shared.status import RowError
from worker.own_code.errors import ModelEnded
from worker.scoring.answers import Answers, StatedError
from worker.scoring.feature_reader import Rows
from worker.scoring.row_checks import find_errors

log = get_logger(__name__)

Predict = Callable[[pa.Table], Prediction]
# By row of a table, the features whose value an encoder of the model refuses; rows without such are left out.
Strange = Callable[[pa.Table], Mapping[int, Sequence[str]]]

_ENCODERS_WORDS = "unknown categor"  # of scikit-learn's, with handle_unknown="error"


class PredictionFailed(Exception):
    """The model did not answer for these rows: it raised, hung, or ended its process."""


class EncoderRefused(PredictionFailed):
    """An encoder of the model refuses rows: by row of the table that was asked, the features whose value it refuses."""

    def __init__(self, rows: Mapping[int, Sequence[str]]) -> None:
        super().__init__(rows)  # as a pickle it is made of this again
        self.rows = rows

    def __str__(self) -> str:
        """In words that quote no value."""
        return "an encoder of the model refused a value"


def predict_rows(
    rows: Rows,
    signature: Signature,
    predict: Predict,
    *,
    task: Task = Task.BINARY,
    strange: Strange | None = None,
) -> Answers:
    """One answer or stated error per row.

    `predict` maps a table of n rows to n answers, or raises. A row for which it raises even when alone gets the error;
    its neighbours get their answers. Where an encoder refuses the row, `strange` names the features. An answer of the
    wrong form for several rows is the model's fault, and so the error of all of them. Raises ModelEnded where nothing
    can be asked any more: the batch is tried again.
    """
    answers = Answers.none_yet(len(rows))
    answers.errors.update(find_errors(rows, signature))
    good = np.ones(len(rows), dtype=np.bool_)
    good[list(answers.errors)] = False
    numbers = np.flatnonzero(good)
    if len(numbers):
        raised: list[Exception] = []  # for a row alone
        table = rows.features if len(numbers) == len(rows) else rows.features.filter(pa.array(good))
        try:
            _predict_part(table, numbers, predict, answers, raised, strange)
        except WrongAnswer as error:
            stated = StatedError(RowError.MODEL_FAILED, storable(str(error)))
            answers.errors.update(dict.fromkeys(map(int, numbers), stated))
        else:
            _log(raised)
            _check_values(numbers, answers, task)
    return answers


def _predict_part(
    table: pa.Table,
    numbers: npt.NDArray[np.intp],
    predict: Predict,
    answers: Answers,
    raised: list[Exception],
    strange: Strange | None,
) -> None:
    try:
        prediction = _right_count(predict(table), table.num_rows)
    except (WrongAnswer, ModelEnded):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises must not cost its neighbours
        if unknown := _unknown(error, table, strange):
            answers.errors.update({int(numbers[row]): stated for row, stated in unknown.items()})
            rest = np.ones(len(numbers), dtype=np.bool_)
            rest[list(unknown)] = False
            if rest.any():
                _predict_part(table.filter(pa.array(rest)), numbers[rest], predict, answers, raised, strange)
            return
        if table.num_rows == 1:
            raised.append(error)
            answers.errors[int(numbers[0])] = StatedError(RowError.MODEL_FAILED, _words(error))
            return
        middle = table.num_rows // 2
        _predict_part(table.slice(0, middle), numbers[:middle], predict, answers, raised, strange)
        _predict_part(table.slice(middle), numbers[middle:], predict, answers, raised, strange)
        return
    answers.put(numbers, prediction)


def _unknown(error: Exception, table: pa.Table, strange: Strange | None) -> dict[int, StatedError]:
    """Rows whose values are at fault and not the model: an encoder says so, and it has not learnt them.

    All at once: one by one, a tenth of 10,000 rows would take thousands of calls to find.
    """
    if isinstance(error, EncoderRefused):  # found where the model is
        return {row: _refused(names) for row, names in error.rows.items()}
    if strange is None or not is_encoders(error):
        return {}
    return {row: _refused(names) for row, names in strange(table).items()}


def is_encoders(error: Exception) -> bool:
    """Whether an encoder says that it has not learnt a value."""
    return _ENCODERS_WORDS in str(error).lower()


def _refused(names: Sequence[str]) -> StatedError:
    words = f"the model's encoder does not know the value of {', '.join(map(shown, names))}"
    return StatedError(RowError.INVALID_FEATURE, storable(words))


def _right_count(prediction: Prediction, rows: int) -> Prediction:
    if len(prediction) != rows:
        raise WrongAnswer(f"the model answered {len(prediction)} times for {rows} rows")
    return prediction


def _check_values(numbers: npt.NDArray[np.intp], answers: Answers, task: Task) -> None:
    """State the error of each row whose answer is no answer of this task."""
    values = answers.values[numbers]
    is_fine = np.isfinite(values) if task is Task.REGRESSION else (values >= 0) & (values <= 1)
    code = RowError.INVALID_VALUE if task is Task.REGRESSION else RowError.INVALID_PROBABILITY
    for number in map(int, numbers[~is_fine]):
        if number not in answers.errors:
            answers.errors[number] = StatedError(code, _no_answer(answers, number, task))


def _no_answer(answers: Answers, number: int, task: Task) -> str:
    """What a row was answered that is no answer. NaN stands for other nonsense of probabilities as well."""
    value = answers.values[number]
    if task is Task.REGRESSION:
        return f"the model answered {value}, which is no value"
    if not np.isnan(value):
        return f"the model answered {value}, which is no probability"
    if answers.scores is None:
        return "the model answered nan, which is no probability, or 0 for both classes"
    scores = answers.scores[number]
    if (scores == 0).all():
        return "the model answered that it is of none of its classes: each has the probability 0"
    return f"the model answered {scores[~((scores >= 0) & (scores <= 1))][0]}, which is no probability"


def storable(text: str) -> str:
    """The first line of `text`, at most 500 characters, without what PostgreSQL cannot store."""
    line = text.strip().partition("\n")[0][:500].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return line.encode(errors="replace").decode()


def _words(error: Exception) -> str:
    """Why there is no answer. Of what a model raised the type alone: the text may quote features."""
    text = str(error) if isinstance(error, PredictionFailed) else f"the model raised {type(error).__name__}"
    return storable(text)


def _log(raised: list[Exception]) -> None:
    """Where the model raised, for whoever has to mend it: the rows' errors have no more than its type."""
    own = [error for error in raised if not isinstance(error, PredictionFailed)]
    if own:
        log.warning("model_raised", rows=len(own), exc_info=own[0])
