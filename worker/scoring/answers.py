"""The answers of a batch as a page: what is stored of them, and in which form."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import orjson

from shared.batches.claims import Answers as Page
from shared.batches.claims import Claim
from shared.status import RowError
from worker.pages.encode import encode_features
from worker.pages.from_arrow import from_arrow
from worker.pages.key_filter import build_filter
from worker.scoring.feature_reader import Rows, columns_of
from worker.sources.key_columns import Keys

SMALL_PAGE = 64  # rows below which a client is found by key_hashes, and from which by the page's own filter
_SEED_BYTES = 32

HashKeys = Callable[[Keys, int], npt.NDArray[np.int64]]  # keys and their source


@dataclass(frozen=True, slots=True)
class StatedError:
    """Why a row has no probability: `code` for programs, `detail` for people."""

    code: RowError
    detail: str


@dataclass(slots=True)
class Answers:
    """One probability per row, NaN where `errors` (by row number) says why there is none."""

    probabilities: npt.NDArray[np.float64]
    errors: dict[int, StatedError] = field(default_factory=dict)

    def part(self, first: int, last: int) -> Answers:
        """The answers of rows `first` to `last`, which is not among them."""
        errors = {number - first: error for number, error in self.errors.items() if first <= number < last}
        return Answers(self.probabilities[first:last], errors)


def make_page(claim: Claim, rows: Rows, answers: Answers, *, threshold: float | None, hash_keys: HashKeys) -> Page:
    """What is stored of the answers to one claim. `rows` and `answers` are of this claim alone, in its order."""
    numbers = sorted(answers.errors)
    values = answers.probabilities
    if numbers:
        values = values.copy()
        values[numbers] = np.nan
    hashes = _hashes(claim, rows, hash_keys)
    is_small = len(rows) < SMALL_PAGE
    return Page(
        values=float_array(values),
        threshold=threshold,
        error_rows=numbers or None,
        error_codes=[answers.errors[number].code.value for number in numbers] or None,
        error_details=[answers.errors[number].detail for number in numbers] or None,
        features=_features(rows),
        key_filter=None if is_small or hashes is None else build_filter(hashes),
        key_hashes=hashes.tolist() if is_small and hashes is not None else None,
        seed=os.urandom(_SEED_BYTES),
    )


def float_array(values: npt.NDArray[np.float64]) -> str:
    """The text of a float8 array, NaN as NULL: the shortest text that gives each number back."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return "{" + text[1:-1] + "}"


def _hashes(claim: Claim, rows: Rows, hash_keys: HashKeys) -> npt.NDArray[np.int64] | None:
    if claim.source_id is None:
        return None
    return hash_keys(rows.named_keys(), claim.source_id)  # others came with their features, or were erased


def _features(rows: Rows) -> bytes | None:
    """The page of features; None where none were read, because the batch was refused as a whole."""
    columns = [from_arrow(column) for column in columns_of(rows.features)]
    return encode_features(columns, len(rows)) if columns else None
