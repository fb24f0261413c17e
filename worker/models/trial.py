"""The trial of a model before it is registered: drawn rows, scored together, alone, backwards and twice.

An answer must be that row's own: the same whatever its neighbours are, and the same again. What does not answer so, or
answers in another form than a page can hold, is refused now and not by a job.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from model.answering import Prediction, WrongAnswer, apart
from model.errors import ModelRefused, NothingAnswered
from model.own_labels import label_columns, labels_beside, own_labels
from model.signature.inside import last_step
from shared.models.signature import FeatureKind, Signature
from shared.models.task import Task
from worker.models.drawn.suited import Words, draw_for
from worker.models.frame import input_columns, to_frame
from worker.models.loaded_model import LoadedModel

TRIAL_ROWS = 50
_TOLERANCE = 1e-9  # floating-point sums in another order differ by about 1e-15
_OFF = 1e-3  # of what the probabilities of a row add up to
_TOLERANCE32 = 1e-5  # and those of float32, in which graphs of ONNX compute, by about 1e-7
_OF_LIMITS = "of numbers at large the model itself refuses most; it was tried on those from {:g} to {:g}"
# What a ColumnTransformer says that meets a matrix where it was fitted on frames.
_COLUMNS_BY_NAME = "columns using strings is only supported for dataframes"
_OF_VALUES = "If it takes certain values alone, --signature FILE says which, such as: "
_OF_A_SETTING = (
    'If it was trained under set_config(transform_output="pandas"): no file holds that setting. Say '
    'model.set_output(transform="pandas") before fit, and save it again.'
)


@dataclass(slots=True)
class Trial:
    """What the trial has seen. `notes` are for a person to read; `doubts` stop a registration that is not forced."""

    rows: int
    answered: int
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def try_out(model: LoadedModel, *, rows: int = TRIAL_ROWS, words: Words | None = None) -> Trial:
    """Score drawn rows in every way, with `words` of the source where nothing else tells any.

    Raises ModelRefused where no row can be answered in a form that fits, of it NothingAnswered where none is at all.
    """
    drawn = draw_for(model.asking, model.signature, rows, words=words)
    table = _with_edges(drawn.table, model.signature)
    answered, alone, first_error = _one_by_one(model, table)
    trial = Trial(rows, len(answered))
    if not len(answered):
        raise NothingAnswered(_nothing_answered(model, first_error))
    if words:
        trial.notes.append("tried on words that many rows of the source have, for of others it answered none")
    if drawn.limits is not None:
        trial.notes.append(_OF_LIMITS.format(*drawn.limits))
    if len(answered) < rows:
        trial.notes.append(
            f"{rows - len(answered)} of {rows} drawn rows were refused by the model itself, one with: {first_error}"
        )
    table = table.take(pa.array(answered))
    together = _together(model, table)
    _check_values(model, table, together, trial)
    if model.task is not Task.REGRESSION:
        _check_labels(model, table, together, trial)
    _compare(model, table, together, alone, trial)
    return trial


def _with_edges(table: pa.Table, signature: Signature) -> pa.Table:
    """The table with a first row that lacks nothing and a second that lacks all that may be missing."""
    columns = []
    for spec, column in zip(signature.features, table.columns, strict=True):
        array = column.combine_chunks()
        filled = array.drop_null()
        first = filled.slice(0, 1) if len(filled) else array.slice(0, 1)
        second = pa.nulls(1, array.type) if spec.nullable else array.slice(1, 1)
        columns.append(pa.chunked_array([first, second, array.slice(2)]).combine_chunks())
    return pa.Table.from_arrays(columns, schema=table.schema)


def _one_by_one(model: LoadedModel, table: pa.Table) -> tuple[npt.NDArray[np.intp], list[Prediction], str]:
    """Which rows are answered alone, their answers, and what the first other one raised."""
    numbers, answers, first_error = [], [], ""
    for row in range(table.num_rows):
        try:
            answers.append(_ask(model, table.slice(row, 1)))
            numbers.append(row)
        except WrongAnswer as error:
            if model.task is not Task.REGRESSION:
                _refuse_several_labels(model, own_labels(model.asking, _frame(model, table)))
            raise ModelRefused(_with_advice(model, str(error))) from error
        except Exception as error:  # noqa: BLE001 - whatever an estimator of others raises
            first_error = first_error or words_of(error)
    return np.array(numbers, dtype=np.intp), answers, first_error


def _ask(model: LoadedModel, table: pa.Table) -> Prediction:
    return model.ask_estimator(input_columns(table, model.signature))


def _together(model: LoadedModel, table: pa.Table) -> Prediction:
    try:
        return _ask(model, table)
    except WrongAnswer as error:
        raise ModelRefused(_with_advice(model, str(error))) from error
    except Exception as error:
        raise ModelRefused(
            f"The model answers each of {table.num_rows} rows alone and not all of them together: {words_of(error)}"
        ) from error


def _with_advice(model: LoadedModel, words: str) -> str:
    texts = [spec for spec in model.signature.features if spec.kind is FeatureKind.CATEGORY]
    if len(texts) == 1 and len(model.signature.features) == 1:
        return (
            f"{words}. It was probably fitted on a series of texts, and a frame is what it gets: fit it on a frame, "
            f"with ColumnTransformer([('text', TfidfVectorizer(), {texts[0].name!r})]) as the first step."
        )
    return f"{words}."


def _nothing_answered(model: LoadedModel, error: str) -> str:
    kinds = ", ".join(f"{spec.name} {spec.kind}" for spec in model.signature.features[:8])
    more = "" if len(model.signature.features) <= 8 else ", …"
    words = f"The model cannot score a row of this signature ({kinds}{more}): {error}"
    advice = _OF_A_SETTING if _COLUMNS_BY_NAME in error else _OF_VALUES + _said_values(model.signature)
    return f"{words.rstrip('.')}. {advice}"


def _said_values(signature: Signature) -> str:
    """A file that says which values a feature takes, of a text where there is one: what maps words takes no other."""
    open_texts = [spec for spec in signature.features if spec.kind is FeatureKind.CATEGORY and not spec.categories]
    spec = (open_texts or list(signature.features))[0]
    limits = {"categories": ["a", "b"]} if spec.kind is FeatureKind.CATEGORY else {"minimum": 0, "maximum": 100}
    return json.dumps({"features": [{"name": spec.name, **limits}]}, ensure_ascii=False)


def _check_values(model: LoadedModel, table: pa.Table, answers: Prediction, trial: Trial) -> None:
    values = answers.values
    known = values[~np.isnan(values)]
    outside = known[(known < 0) | (known > 1)] if model.task is not Task.REGRESSION else known[:0]
    if len(outside):
        raise ModelRefused(
            f"The model answered {outside[0]:.6g}, and a probability is from 0 to 1."
            + (" Does it answer in per cent? Divide by 100." if 1 < outside[0] <= 100 else "")
        )
    of_none = 0 if model.task is Task.REGRESSION else _check_sums(model, table, trial)
    if not len(known) and not of_none:
        raise ModelRefused(f"The model answered with no number for any of {len(values)} drawn rows.")
    if len(known) + of_none < len(values):
        count = len(values) - len(known) - of_none
        trial.notes.append(f"{count} of {len(values)} drawn rows were answered with no number")


def _check_sums(model: LoadedModel, table: pa.Table, trial: Trial) -> int:
    """How many rows are of none of the classes. Of the others the probabilities of all classes add up to 1."""
    sums = model.asking.class_sums(_frame(model, table))
    of_none = int((sums == 0).sum())
    if of_none:
        said = trial.notes if of_none < len(sums) else trial.doubts
        said.append(f"{of_none} of {len(sums)} drawn rows are of none of its classes: each has the probability 0")
    is_off = (np.abs(sums - 1) > _OFF) & (sums != 0)
    if is_off.any():
        trial.doubts.append(
            f"the probabilities of all classes add up to another number than 1 for {int(is_off.sum())} of {len(sums)} "
            f"drawn rows, such as {sums[is_off][0]:.4g}"
        )
    return of_none


def _check_labels(model: LoadedModel, table: pa.Table, answers: Prediction, trial: Trial) -> None:
    """What `predict` says. Raises ModelRefused where that is several labels a row."""
    said = own_labels(model.asking, _frame(model, table))
    _refuse_several_labels(model, said)
    beside = labels_beside(model.asking, said, answers, model.classes, model.threshold)
    if beside is not None and beside.difference is not None:
        trial.doubts.append(f"drawn rows, beside the estimator's predict: {beside.difference}")


def _refuse_several_labels(model: LoadedModel, said: npt.NDArray[Any] | None) -> None:
    columns = label_columns(said)
    if columns > 1:
        raise ModelRefused(
            f"{type(last_step(model.estimator)).__name__} gives a row several labels: its predict answers with "
            f"{columns} columns. Save one model for each label."
        )


def _frame(model: LoadedModel, table: pa.Table) -> Any:
    """A new one for each call: some models write into what they are given."""
    return to_frame(input_columns(table, model.signature), model.signature)


def _compare(model: LoadedModel, table: pa.Table, together: Prediction, alone: list[Prediction], trial: Trial) -> None:
    backwards = pa.array(np.arange(table.num_rows)[::-1])
    ways: dict[str, Callable[[], Any]] = {
        "alone": lambda: np.concatenate([answer.numbers for answer in alone]),
        "backwards": lambda: _together(model, table.take(backwards)).numbers[::-1],
        "a second time": lambda: _together(model, table).numbers,
        "through the service": lambda: model.predict(table).numbers,
    }
    expected = together.numbers
    is_single = any(spec.dtype == "float32" for spec in model.signature.features)
    tolerance = _TOLERANCE32 if is_single else _TOLERANCE
    for words, answer in ways.items():
        rows, most = _difference(expected, answer(), tolerance)
        if rows:
            trial.doubts.append(
                f"{rows} of {table.num_rows} drawn rows get another answer when scored {words}: by up to {most:.3g}"
            )


def _difference(
    expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64], tolerance: float
) -> tuple[int, float]:
    """How many rows differ, and by how much at most."""
    distance = apart(expected, found)
    return int((distance > tolerance).sum()), float(distance.max())


def words_of(error: Exception) -> str:
    """The first line of what an estimator raised, for a person."""
    text = str(error).strip().partition("\n")[0][:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
