"""The last step of a pipeline, asked without a frame: its matrix comes straight out of a batch's columns.

What precedes the last step must be one ColumnTransformer. Numbers that it passes through are copied, and words that an
OrdinalEncoder numbers are looked up once for each word of the batch's dictionary in place of once for each row. The
codes are not computed here: the encoder itself was asked for each. Any other part gets the frame of its own columns, as
from the ColumnTransformer. So the last step meets the very numbers that it would meet, and it is the estimator's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from model.answering import Asking, Prediction
from shared.models.feature import FeatureSpec
from shared.models.signature import Signature
from shared.pages.layout import Dtype, Missing
from worker.models.frame import to_frame
from worker.models.own_methods import hides_methods
from worker.pages.columns import FeatureColumn

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_STRANGER = "\x00 no encoder has met this word"


class NoMatrix(Exception):
    """The estimator has a part that is not known here."""


class _Part(Protocol):
    """Some columns of the matrix."""

    @property
    def width(self) -> int:
        """How many."""

    def fill(self, target: Floats, columns: Sequence[FeatureColumn]) -> Flags | None:
        """Write them, a row per row of the batch. Returns which rows are known here; None: all of them."""


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Features that are passed through."""

    places: tuple[int, ...]
    width: int

    def fill(self, target: Floats, columns: Sequence[FeatureColumn]) -> Flags | None:
        """See _Part. Whole numbers and truth values have no NaN: what a gap makes of them the estimator has to say."""
        known: Flags | None = None
        for position, place in enumerate(self.places):
            column = columns[place]
            states = column.states()
            if states is None:
                target[:, position] = column.values
                continue
            present = states == Missing.PRESENT
            target[:, position] = np.where(present, column.values, np.nan)
            if column.dtype is not Dtype.FLOAT64:
                known = present if known is None else known & present
        return known


@dataclass(frozen=True, slots=True)
class _Codes:
    """A feature of texts as an encoder numbers it. None: the encoder has no number for that, and raises."""

    place: int
    codes: Mapping[str, float]
    unknown: float | None
    nan: float | None
    none: float | None
    width: int = 1

    def fill(self, target: Floats, columns: Sequence[FeatureColumn]) -> Flags | None:
        """See _Part."""
        column = columns[self.place]
        words = [] if column.words is None else column.words.to_pylist()
        found = [*(self.codes.get(word, self.unknown) for word in words), self.nan, self.none]
        rows, states = column.values, column.states()
        if states is not None:
            gaps = np.where(states == Missing.NONE, len(words) + 1, len(words))
            rows = np.where(states == Missing.PRESENT, rows, gaps)
        target[:, 0] = np.array(found, dtype=np.float64)[rows]
        known = np.array([code is not None for code in found])
        return None if known.all() else known[rows]


@dataclass(frozen=True, slots=True)
class _Framed:
    """A part of any kind, which gets a frame of its columns."""

    step: Any
    places: tuple[int, ...]
    signature: Signature  # of these
    width: int

    def fill(self, target: Floats, columns: Sequence[FeatureColumn]) -> Flags | None:
        """See _Part."""
        target[:] = self.step.transform(to_frame([columns[place] for place in self.places], self.signature))
        return None


@dataclass(frozen=True, slots=True)
class MatrixModel:
    """A pipeline whose encoding is known. `last` asks its last step."""

    parts: Sequence[_Part]
    last: Asking

    def fill(self, columns: Sequence[FeatureColumn]) -> tuple[Floats, Flags | None]:
        """What the last step is to get for the columns of `input_columns`, and for which rows; None: for all."""
        matrix = np.empty((len(columns[0]), sum(part.width for part in self.parts)))
        known: Flags | None = None
        place = 0
        # As where the whole estimator is asked: what its parts set or warn of is their own affair.
        with np.errstate(), warnings.catch_warnings(action="ignore"):
            for part in self.parts:
                found = part.fill(matrix[:, place : place + part.width], columns)
                if found is not None:
                    known = found if known is None else known & found
                place += part.width
        return matrix, known

    def predict(self, columns: Sequence[FeatureColumn]) -> Prediction | None:
        """The answers; None where the whole estimator must be asked for one row, and so for all."""
        matrix, known = self.fill(columns)
        return self.last(matrix) if known is None or known.all() else None


def compile_matrix(asking: Asking, signature: Signature) -> MatrixModel:
    """The matrix of a pipeline of a ColumnTransformer and a last step.

    Raises NoMatrix where it is none, and whatever else an estimator's attributes raise: both mean that the estimator
    gets frames.
    """
    pipeline = asking.estimator
    if type(pipeline) is not Pipeline or hides_methods(pipeline) or len(pipeline.steps) != 2 or asking.takes_series:
        raise NoMatrix(type(pipeline).__name__)
    encoder, last = (step for _, step in pipeline.steps)
    if type(encoder) is not ColumnTransformer or hides_methods(encoder) or encoder.transformer_weights:
        raise NoMatrix(type(encoder).__name__)
    parts: list[_Part] = []
    for name, step, chosen in encoder.transformers_:
        if not (isinstance(step, str) and step == "drop"):
            made = encoder.output_indices_[name]
            parts += _parts(step, _places(chosen, encoder, signature), signature, width=made.stop - made.start)
    if not any(isinstance(part, _Codes) for part in parts):
        raise NoMatrix("no words are numbered, so frames cost little")
    return MatrixModel(parts, Asking(last, asking.task, asking.columns))


def difference(model: MatrixModel, whole: Asking, columns: Sequence[FeatureColumn], signature: Signature) -> str | None:
    """How the matrix, or an answer of the last step to it, differs from what the whole pipeline makes of the same rows.

    Rows that are not known here are left out. Nothing but equality will do.
    """
    matrix, known = model.fill(columns)
    frame = to_frame(columns, signature)
    if known is not None:
        matrix, frame = matrix[known], frame[known]
    if not len(frame):
        return "no row that was drawn is known here"
    with np.errstate(), warnings.catch_warnings(action="ignore"):
        own = whole.estimator[:-1].transform(frame)
    if type(own) is np.ndarray and type(model.last.estimator).__module__.startswith("sklearn."):
        # Truth values among numbers make objects of all, whole numbers alone have a type of their own; whatever of
        # scikit-learn takes numbers makes floats of them.
        own = own.astype(np.float64)
    if type(own) is not np.ndarray or own.dtype != np.float64 or own.shape != matrix.shape:
        return f"the last step gets {type(own).__name__} of {getattr(own, 'dtype', 'no type')}"
    if not np.array_equal(own, matrix, equal_nan=True):
        return f"{int((own != matrix).sum() - (np.isnan(own) & np.isnan(matrix)).sum())} numbers of the matrix differ"
    one, other = model.last(matrix), whole(frame)
    pairs: list[tuple[Any, Any]] = [
        (one.values, other.values), (one.labels, other.labels), (one.scores, other.scores)
    ]  # fmt: skip
    is_same = all(mine is theirs or np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in pairs)
    return None if is_same else "the last step answers otherwise"


def _parts(step: Any, places: list[int], signature: Signature, *, width: int) -> list[_Part]:
    specs = [signature.features[place] for place in places]
    if not places:
        return []
    is_identity = type(step) is FunctionTransformer and step.func is None and not step.validate
    if is_identity or isinstance(step, str):  # it is passed through
        return [_numbers(places, specs)]
    if type(step) is OrdinalEncoder and not hides_methods(step) and _is_of_words(step, specs):
        return _codes(step, places, specs)
    return [_Framed(step, tuple(places), Signature(tuple(specs)), width)]


def _numbers(places: Sequence[int], specs: Sequence[FeatureSpec]) -> _Part:
    if any(spec.dtype not in ("int64", "float64", "bool") for spec in specs):
        raise NoMatrix("something else than numbers is passed through")
    return _Numbers(tuple(places), len(places))


def _codes(encoder: OrdinalEncoder, places: Sequence[int], specs: Sequence[FeatureSpec]) -> list[_Part]:
    """One part for each feature: the columns of an OrdinalEncoder know nothing of each other."""
    words = [[word for word in known if isinstance(word, str)] for known in encoder.categories_]
    if not all(words):
        raise NoMatrix("an encoder that has met no word")
    most = max(map(len, words))
    probe = pd.DataFrame(
        {
            spec.name: pd.Series([known[row % len(known)] for row in range(most)], dtype=object)
            for spec, known in zip(specs, words, strict=True)
        }
    )
    found = np.asarray(encoder.transform(probe), dtype=np.float64)
    if found.shape != probe.shape:
        raise NoMatrix("an encoder that makes other columns")

    def ask(column: int, cell: Any) -> float | None:
        one = probe.iloc[:1].copy()
        one[specs[column].name] = pd.Series([cell], dtype=object)
        try:
            return float(encoder.transform(one)[0, column])
        except (ValueError, TypeError):
            return None

    parts: list[_Part] = []
    for column, (place, known) in enumerate(zip(places, words, strict=True)):
        codes = dict(zip(known, found[: len(known), column].tolist(), strict=True))
        parts.append(_Codes(place, codes, ask(column, _STRANGER), ask(column, np.nan), ask(column, None)))
    return parts


def _places(chosen: Any, encoder: ColumnTransformer, signature: Signature) -> list[int]:
    """The places of chosen columns in the signature."""
    keys = list(chosen) if isinstance(chosen, (list, tuple, np.ndarray, pd.Index)) else [None]
    if all(isinstance(key, str) for key in keys):
        return [signature.names.index(key) for key in keys]
    is_counted = all(isinstance(key, (int, np.integer)) and not isinstance(key, bool) for key in keys)
    if not is_counted or list(encoder.feature_names_in_) != list(signature.names):
        raise NoMatrix("columns that are chosen in another way than by name")
    return [int(key) for key in keys if key is not None]


def _is_of_words(encoder: OrdinalEncoder, specs: Sequence[FeatureSpec]) -> bool:
    """Whether its columns are texts, and nothing else but gaps."""
    known = [word for words in encoder.categories_ for word in words]
    are_words = all(isinstance(word, str) or pd.isna(word) for word in known)
    return are_words and all(spec.dtype == "object" for spec in specs)
