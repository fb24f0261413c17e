"""Who scores a batch at its last attempt: a process apart, of the kind that the version needs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa

from model.answering import Prediction
from worker.models.stored_version import StoredVersion
from worker.models.unknown_words import KnownWords
from worker.own_code.search import CodeSearch
from worker.scoring.isolation import IsolatedModel


class Apart(Protocol):
    """A model in a process apart."""

    @property
    def known_words(self) -> KnownWords:
        """Of encoders that pass over words they do not know, as the process told when it had loaded the model."""

    def predict(self, features: pa.Table) -> Prediction:
        """The answers to the rows. Raises PredictionFailed with the reason, EncoderRefused, WrongAnswer."""


def open_apart(stored: StoredVersion, *, rows: int, seconds: float) -> AbstractContextManager[Apart]:
    """A process apart for a batch of `rows`; loading, and a call for all of them, may take `seconds` each."""
    artefact = stored.checked()
    if artefact.code is not None:
        return CodeSearch(stored, rows=rows, call_timeout_seconds=seconds, load_seconds=seconds)
    return IsolatedModel(
        artefact, rows=rows, call_timeout_seconds=seconds, load_seconds=seconds, reference=stored.reference
    )
