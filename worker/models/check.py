"""`models check`: real rows scored in every way that the service goes, beside the estimator itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from model.answering import Prediction
from model.errors import ModelRefused
from model.own_labels import LabelsBeside, label_columns, labels_beside, own_labels, served_labels
from shared.models.task import Task, class_name
from shared.sentences import count_of
from worker.models.frame import input_columns, to_frame
from worker.models.loaded_model import LoadedModel
from worker.models.unknown_words import find_unknown
from worker.models.whole_numbers import taken_otherwise
from worker.pages.decode import decode_features
from worker.pages.encode import encode_features
from worker.scoring.answers import StatedError
from worker.scoring.feature_reader import Refusal, Rows
from worker.scoring.prediction import predict_rows

TOLERANCE = 1e-12  # relative: what "the same answer" means
_ABOVE = 1e-8  # less than between two probabilities of float32
_BY_PREDICT = "the estimator's predict"
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(slots=True)
class CheckReport:
    """What a check has seen. `differences` is empty where every answer is the estimator's own."""

    rows: int
    answered: int
    seconds_per_row: float
    errors: dict[str, int] = field(default_factory=dict)  # rows by error code
    first_errors: dict[str, str] = field(default_factory=dict)  # a detail for each code
    nulls: dict[str, int] = field(default_factory=dict)  # by feature
    unknown_categories: dict[str, int] = field(default_factory=dict)  # by feature
    labels: dict[str, int] = field(default_factory=dict)
    quantiles: dict[str, float] = field(default_factory=dict)  # of probabilities or values
    differences: dict[str, str] = field(default_factory=dict)  # by the way that was gone

    @property
    def is_equal(self) -> bool:
        """Whether every way gave the estimator's own answers."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """For the wire."""
        return {**asdict(self), "is_equal": self.is_equal}


def check_model(
    model: LoadedModel, features: pa.Table, refused: Mapping[int, Refusal] = MappingProxyType({})
) -> CheckReport:
    """Score the rows of `features`, in signature order, through the service and past it.

    `refused`: rows that have an error since they were read, by number. Raises ModelRefused.
    """
    rows = features.num_rows
    if not rows:
        raise ModelRefused("There are no rows to check the model with.")
    started = time.perf_counter()
    keys, is_known = np.arange(rows, dtype=np.int64), np.ones(rows, dtype=np.bool_)
    is_known[list(refused)] = False
    answers = predict_rows(
        Rows(keys, is_known, features),
        model.signature,
        model.predict,
        task=model.task,
        strange=model.refused_values,
    )
    answers.errors.update({row: StatedError(why.code, why.detail) for row, why in refused.items()})
    report = CheckReport(rows, rows - len(answers.errors), (time.perf_counter() - started) / rows)
    for error in answers.errors.values():
        report.errors[error.code.value] = report.errors.get(error.code.value, 0) + 1
        report.first_errors.setdefault(error.code.value, error.detail)
    report.nulls = {
        spec.name: column.null_count
        for spec, column in zip(model.signature.features, features.filter(pa.array(is_known)).columns, strict=True)
        if column.null_count
    }
    good = np.ones(rows, dtype=np.bool_)
    good[list(answers.errors)] = False
    if good.any():
        served = Prediction(answers.values, answers.labels, answers.scores).take(good)
        _compare(model, features.filter(pa.array(good)), served, report)
        _describe(model, served, report)
    return report


def _compare(model: LoadedModel, features: pa.Table, served: Prediction, report: CheckReport) -> None:
    columns = input_columns(features, model.signature)
    unknown = find_unknown(columns, model.signature, model.known_words)
    report.unknown_categories = {feature: len(found) for feature, found in unknown.items()}
    stored = decode_features(encode_features(columns, features.num_rows))
    frame = to_frame(columns, model.signature)
    itself = model.asking(frame)
    ways = {"the estimator itself": itself, "a stored page": model.predict_columns(stored)}
    for words, own in ways.items():
        difference = _difference(model, served, own)
        if difference:
            report.differences[words] = difference
    if (whole := taken_otherwise(model, features, itself)) is not None:
        if whole.is_heeded:
            report.first_errors["whole_numbers"] = str(whole)
        else:
            report.differences["the estimator on whole numbers"] = str(whole)
    if model.task is not Task.REGRESSION:
        _compare_labels(model, to_frame(columns, model.signature), served, report)


def _difference(model: LoadedModel, served: Prediction, own: Prediction) -> str | None:
    mine, theirs = served.numbers, own.numbers
    with np.errstate(all="ignore"):
        apart = np.abs(mine - theirs) / np.maximum(np.abs(theirs), np.finfo(float).tiny)
    # One unit of rounding near 0 is a large share of it and no difference. No number beside a number is one.
    is_apart = ~((apart <= TOLERANCE) | (np.abs(mine - theirs) <= TOLERANCE * 1e-3))
    labels = served_labels(served, model.threshold) != served_labels(own, model.threshold)
    if not is_apart.any() and not labels.any():
        return None
    most = float(np.max(np.abs(mine - theirs)))
    return f"{int(is_apart.any(axis=1).sum())} rows differ by up to {most:.3g}, {int(labels.sum())} labels differ"


def _compare_labels(model: LoadedModel, frame: Any, served: Prediction, report: CheckReport) -> None:
    """What `predict` says. Where it goes by the same rule, another label is a difference: the classes are mixed up."""
    said = own_labels(model.asking, frame)
    columns = label_columns(said)
    if columns > 1:
        report.differences[_BY_PREDICT] = f"it gives each row {columns} labels. Save one model for each label"
    beside = labels_beside(model.asking, said, served, model.classes, model.threshold)
    if beside is None:
        return
    if beside.is_other.any():
        report.first_errors["labels"] = _other_labels(model, served, beside)
    if beside.difference is not None:
        report.differences[_BY_PREDICT] = beside.difference


def _other_labels(model: LoadedModel, answers: Prediction, beside: LabelsBeside) -> str:
    """How many labels are other ones, and what to do where a probability is the threshold itself."""
    is_other = beside.is_other
    words = f"{count_of(int(is_other.sum()), 'label is', 'labels are')} not what the estimator's predict gives"
    if not beside.own_rule or model.threshold is None:
        return words
    at = int((is_other & (answers.values == model.threshold)).sum())
    if not at:
        return words
    negative, positive = map(class_name, model.classes)
    return (
        f"{words}: {count_of(at, 'row stands', 'rows stand')} exactly at the threshold, where the label is "
        f"{positive} and predict says {negative}; with --threshold {model.threshold + _ABOVE:.10g} it is as predict "
        "says"
    )


def _describe(model: LoadedModel, served: Prediction, report: CheckReport) -> None:
    found = np.quantile(served.values, _QUANTILES)
    report.quantiles = {f"{share:.0%}": float(value) for share, value in zip(_QUANTILES, found, strict=True)}
    if model.task is not Task.REGRESSION:
        numbers, counts = np.unique(served_labels(served, model.threshold), return_counts=True)
        report.labels = {
            class_name(model.classes[int(n)]): int(count) for n, count in zip(numbers, counts, strict=True)
        }
