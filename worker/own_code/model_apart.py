"""A version that brings code, for whoever scores: asked like a loaded model, and answered by its own process."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from model.answering import Prediction
from model.artefact import Artefact
from shared.models.signature import Signature
from worker.models.frame import input_columns
from worker.models.stored_version import StoredVersion
from worker.models.unknown_words import KnownWords
from worker.own_code.process import CodeProcess
from worker.pages.columns import FeatureColumn
from worker.pages.encode import encode_features


class ModelApart:
    """Keeps the process of a version. A call, and opening the version, may take `seconds` each."""

    def __init__(self, stored: StoredVersion, *, seconds: float) -> None:
        """Start the process. Raises ArtefactError."""
        self._stored = stored
        self._seconds = seconds
        self._process = CodeProcess(stored, seconds=seconds)

    @property
    def artefact(self) -> Artefact:
        """The file with all that is said of it."""
        return self._stored.artefact

    @property
    def signature(self) -> Signature:
        """The features, in the order of the tables that `predict` takes."""
        return self.artefact.metadata.signature

    @property
    def known_words(self) -> KnownWords:
        """Of encoders that pass over words they do not know."""
        return self._process.known_words

    def refused_values(self, _features: pa.Table) -> dict[int, list[str]]:
        """None: of what the code raises nothing but its type is told, so nothing says that an encoder refused."""
        return {}

    def predict(self, features: pa.Table) -> Prediction:
        """The answers to the rows of a table in signature order.

        Raises WrongAnswer, PredictionFailed with what the model raised, and ModelEnded.
        """
        return self.predict_columns(input_columns(features, self.signature))

    def predict_columns(self, columns: Sequence[FeatureColumn]) -> Prediction:
        """The same from the columns of `input_columns`, or of a stored page: a page is what goes over."""
        rows = len(columns[0])
        return self._process.ask(encode_features(columns, rows), rows, seconds=self._seconds)

    def own_bytes(self) -> int:
        """What its process takes of memory for itself; 0 where the system does not tell."""
        return self._process.own_bytes()

    def restart(self) -> None:
        """Start the process anew if it has ended. Raises ArtefactError."""
        if not self._process.is_alive:
            self.end()
            self._process = CodeProcess(self._stored, seconds=self._seconds)

    def end(self) -> None:
        """End the process: the version is not asked any more."""
        self._process.end()
