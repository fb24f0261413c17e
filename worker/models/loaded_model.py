"""A model version ready to score: one object for the three tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from model.answering import Asking, Prediction, ask
from model.artefact import Artefact, load
from shared.logging import get_logger
from shared.models.signature import Signature
from shared.models.task import Task
from shared.told_errors import words_of
from worker.models.drawn.suited import draw_for
from worker.models.frame import input_columns, to_frame
from worker.models.linear.compile import NotLinear, compile_linear
from worker.models.linear.compiled import Floats, LinearModel
from worker.models.matrix import MatrixModel, NoMatrix, compile_matrix, difference
from worker.models.unknown_words import KnownWords, known_words, refused_values
from worker.pages.columns import FeatureColumn

log = get_logger(__name__)

_SAMPLE_ROWS = 500
_TOLERANCE = 1e-9  # floating-point sums in another order differ by about 1e-15
_SATURATED = 20.0  # log-odds beyond which a probability is 0 or 1 for all that a comparison can tell
_LEAST_TELLING = 0.1  # the share of drawn rows that must not be saturated for a comparison to prove anything


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model version in memory. `predict` is what scores; `ask_estimator` asks the estimator itself."""

    version: int
    asking: Asking
    artefact: Artefact  # kept for the process apart, which loads it again
    linear: LinearModel | None  # the same sum without the pipeline's overhead, where the estimator is one
    matrix: MatrixModel | None = None  # its last step without frames, where what precedes it is known
    known_words: KnownWords = field(default_factory=dict)  # of encoders, by the feature's place

    @property
    def signature(self) -> Signature:
        """The features, in the order of the tables that `predict` takes."""
        return self.artefact.metadata.signature

    @property
    def task(self) -> Task:
        """What the answers are."""
        return self.artefact.metadata.task

    @property
    def classes(self) -> tuple[Any, ...]:
        """Of a binary model the negative class and the positive one; the numbers of a multiclass model's labels."""
        return self.artefact.metadata.classes

    @property
    def threshold(self) -> float | None:
        """From which probability on a binary model's label is the positive class."""
        return self.artefact.metadata.threshold

    @property
    def estimator(self) -> Any:
        """What was in the file."""
        return self.asking.estimator

    def predict(self, features: pa.Table) -> Prediction:
        """The answers to the rows of a table in signature order. Raises WrongAnswer, or whatever the model raises."""
        return self.predict_columns(input_columns(features, self.signature))

    def predict_columns(self, columns: Sequence[FeatureColumn]) -> Prediction:
        """The same from the columns of `input_columns`, or of a stored page."""
        if self.linear is not None:
            probabilities = self.linear.probabilities(columns)
            if probabilities is not None:
                return Prediction(probabilities)
        prediction = self.matrix.predict(columns) if self.matrix is not None else None
        return self.ask_estimator(columns) if prediction is None else prediction

    def refused_values(self, features: pa.Table) -> dict[int, list[str]]:
        """By row of a table in signature order, the features whose value an encoder of the estimator refuses."""
        closed = known_words(self.estimator, self.signature, only_closed=True)  # asked for only where one has refused
        return refused_values(features, self.signature, closed)

    def ask_estimator(self, columns: Sequence[FeatureColumn]) -> Prediction:
        """The answers of the estimator itself, whatever there is of a compiled form."""
        return self.asking(to_frame(columns, self.signature))


def load_model(
    artefact: Artefact, version: int, *, digest: str | None = None, accept_patch: bool = False
) -> LoadedModel:
    """Verify and open an artefact. Raises the errors of `model.artefact.load`."""
    estimator = load(artefact, digest=digest, accept_patch=accept_patch)
    model = wrap(estimator, artefact, version)
    linear = _checked_linear(model)
    matrix = _checked_matrix(model) if linear is None else None
    return replace(model, linear=linear, matrix=matrix, known_words=known_words(estimator, model.signature))


def wrap(estimator: Any, artefact: Artefact, version: int) -> LoadedModel:
    """An estimator that is open already, to be asked itself and in no other way."""
    return LoadedModel(
        version, ask(estimator, artefact.metadata.task, artefact.metadata.classes), artefact, linear=None
    )


def _checked_linear(model: LoadedModel) -> LinearModel | None:
    """The compiled form, if there is one and it agrees with scikit-learn; for any doubt there is none."""
    if model.task is not Task.BINARY:
        return None
    try:
        linear = compile_linear(model.estimator, model.signature, model.asking.columns[1])
        reason = _disagreement(model, linear)
    except NotLinear as error:
        log.info("scored by scikit-learn", version=model.version, reason=str(error))
        return None
    except Exception as error:  # noqa: BLE001 - what cannot be proven is not used; the estimator is asked instead
        log.warning(
            "compiled form not comparable, scored by scikit-learn", version=model.version, reason=words_of(error)
        )
        return None
    if reason is not None:
        log.warning("compiled form differs, scored by scikit-learn", version=model.version, reason=reason)
        return None
    return linear


def _checked_matrix(model: LoadedModel) -> MatrixModel | None:
    """The last step's matrix, if its making is known and gives the same; for any doubt there is none."""
    try:
        matrix = compile_matrix(model.asking, model.signature)
        reason = difference(matrix, model.asking, input_columns(_drawn(model), model.signature), model.signature)
    except NoMatrix as error:
        log.info("scored by way of frames", version=model.version, reason=str(error))
        return None
    except Exception as error:  # noqa: BLE001 - what cannot be proven is not used; the estimator is asked instead
        log.info("matrix not comparable, scored by way of frames", version=model.version, reason=words_of(error))
        return None
    if reason is not None:
        log.info("scored by way of frames", version=model.version, reason=reason)
        return None
    return matrix


def _drawn(model: LoadedModel) -> pa.Table:
    """Rows to compare on: drawn where the estimator's own parts say that its training lay."""
    return draw_for(model.asking, model.signature, _SAMPLE_ROWS).table


def _disagreement(model: LoadedModel, linear: LinearModel) -> str | None:
    """How the compiled form differs on rows that are drawn.

    Whatever it claims to answer the estimator must answer, and the same.
    """
    table = _drawn(model)
    claimed = ~np.isnan(linear.logits(input_columns(table, model.signature)))
    columns = input_columns(table.filter(pa.array(claimed)), model.signature)
    probabilities = linear.probabilities(columns)
    assert probabilities is not None
    mine, own = linear.logits(columns), _decisions(model, columns)
    telling = float((np.abs(own) < _SATURATED).sum()) / _SAMPLE_ROWS
    if telling < _LEAST_TELLING:
        return f"only {telling:.0%} of the rows that were drawn have an answer that is neither 0 nor 1"
    by_odds = float(np.max(np.abs(mine - own) / (1 + np.abs(own))))
    by_probability = float(np.max(np.abs(probabilities - model.ask_estimator(columns).values)))
    if not (by_odds < _TOLERANCE and by_probability < _TOLERANCE):
        return f"by {by_odds:.3g} in the log-odds and {by_probability:.3g} in the probability"
    return None


def _decisions(model: LoadedModel, columns: Sequence[FeatureColumn]) -> Floats:
    """The estimator's own log-odds of the positive class."""
    frame = to_frame(columns, model.signature)
    sign = 1.0 if model.asking.columns[1] == 1 else -1.0
    with np.errstate(all="ignore"):
        decisions = np.asarray(model.estimator.decision_function(frame), dtype=np.float64)
    return sign * decisions
