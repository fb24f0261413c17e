"""The answers of a batch as a page: what is stored of them, and in which form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import orjson

from model.answering import Prediction
from shared.batches.claims import Answers as Page
from shared.batches.claims import Claim
from shared.models.signature import Signature
from shared.pages.layout import MOST_SCORED_BYTES
from shared.status import RowError
from worker.models.frame import input_columns
from worker.models.unknown_words import KnownWords, find_unknown
from worker.pages.columns import FeatureColumn
from worker.pages.encode import encode_features
from worker.pages.row_bits import pack_rows
from worker.scoring.feature_reader import Rows
from worker.scoring.key_hashes import Hasher, found_by

_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class StatedError:
    """Why a row has no answer: `code` for programs, `detail` for people."""

    code: RowError
    detail: str


@dataclass(slots=True)
class Answers:
    """One answer per row, or by row number in `errors` why there is none. See `Prediction` for the arrays."""

    values: npt.NDArray[np.float64]
    errors: dict[int, StatedError] = field(default_factory=dict)
    labels: npt.NDArray[np.int16] | None = None
    scores: npt.NDArray[np.float64] | None = None

    @classmethod
    def none_yet(cls, rows: int) -> Answers:
        """No answer to any of `rows` rows."""
        return cls(np.full(rows, np.nan))

    def put(self, numbers: npt.NDArray[np.intp], prediction: Prediction) -> None:
        """Take over the answers to the rows of these numbers."""
        self.values[numbers] = prediction.values
        if prediction.labels is not None:
            if self.labels is None:
                self.labels = np.full(len(self.values), -1, dtype=np.int16)
            self.labels[numbers] = prediction.labels
        if prediction.scores is not None:
            if self.scores is None:
                self.scores = np.full((len(self.values), prediction.scores.shape[1]), np.nan)
            self.scores[numbers] = prediction.scores

    def part(self, first: int, last: int) -> Answers:
        """The answers of rows `first` to `last`, which is not among them."""
        errors = {number - first: error for number, error in self.errors.items() if first <= number < last}
        return Answers(
            self.values[first:last],
            errors,
            None if self.labels is None else self.labels[first:last],
            None if self.scores is None else self.scores[first:last],
        )


def make_page(
    claim: Claim,
    rows: Rows,
    answers: Answers,
    *,
    signature: Signature,
    threshold: float | None,
    hasher: Hasher,
    known_words: KnownWords | None = None,
    columns: Sequence[FeatureColumn] | None = None,
) -> Page:
    """What is stored of the answers to one claim. `rows` and `answers` are of this claim alone, in its order.

    `threshold` is of binary models. Words of scored rows that are not among `known_words` are noted, with their rows.
    `columns` are the features of `rows` as `input_columns` makes them, where somebody has made them already.
    """
    numbers = sorted(answers.errors)
    values, labels, scores = answers.values, answers.labels, answers.scores
    if numbers:
        values = values.copy()
        values[numbers] = np.nan
        if labels is not None and scores is not None:
            labels, scores = labels.copy(), scores.copy()
            labels[numbers], scores[numbers] = -1, np.nan
    # Rows without a key came with their features alone, or were erased.
    index = found_by(rows.named_keys(), claim.source_id, len(rows), hasher)
    if columns is None and rows.features.num_columns:
        columns = input_columns(rows.features, signature)
    unknown = find_unknown(columns, signature, known_words) if columns and known_words else {}
    unknown = _scored_ones(unknown, numbers)
    return Page(
        values=float_array(values),
        threshold=threshold,
        labels=None if labels is None else label_array(labels),
        scores=None if scores is None else float_array(scores.reshape(-1)),
        error_rows=numbers or None,
        error_codes=[answers.errors[number].code.value for number in numbers] or None,
        error_details=[answers.errors[number].detail for number in numbers] or None,
        # None were read where the batch was refused as a whole.
        features=None if columns is None else encode_features(columns, len(rows), most_bytes=MOST_SCORED_BYTES),
        key_filter=index.key_filter,
        key_hashes=index.key_hashes,
        notes=_notes(unknown, len(rows)) if unknown else None,
        seed=os.urandom(_SEED_BYTES),
    )


def _scored_ones(unknown: dict[str, npt.NDArray[np.intp]], failed: Sequence[int]) -> dict[str, npt.NDArray[np.intp]]:
    """Without the rows that have an error: nothing was passed over there, for nothing was scored."""
    if not (unknown and failed):
        return unknown
    scored = {feature: np.setdiff1d(rows, failed) for feature, rows in unknown.items()}
    return {feature: rows for feature, rows in scored.items() if len(rows)}


def _notes(unknown: Mapping[str, npt.NDArray[np.intp]], rows: int) -> str:
    """What a page notes of values that its model did not learn: by feature how many, and in which rows."""
    return orjson.dumps(
        {
            "unknown_categories": {feature: len(found) for feature, found in unknown.items()},
            "unknown_rows": {feature: pack_rows(found, rows) for feature, found in unknown.items()},
        }
    ).decode()


def label_array(labels: npt.NDArray[np.int16]) -> str:
    """The text of an int2 array, -1 as NULL."""
    return "{" + ",".join("NULL" if label < 0 else str(label) for label in labels.tolist()) + "}"


def float_array(values: npt.NDArray[np.float64]) -> str:
    """The text of a float8 array, NaN as NULL: the shortest text that gives each number back."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return "{" + text[1:-1] + "}"
