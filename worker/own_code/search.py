"""The last attempt at a batch of such a version: each call in a fork of its process, so that bad rows can be found."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import pyarrow as pa

from model.answering import Prediction
from worker.models.frame import input_columns
from worker.models.stored_version import StoredVersion
from worker.models.unknown_words import KnownWords
from worker.own_code.errors import ModelEnded
from worker.own_code.process import CodeProcess
from worker.pages.encode import encode_features
from worker.scoring.isolation import SEARCH_SECONDS, SearchTime
from worker.scoring.prediction import PredictionFailed


class CodeSearch:
    """A process for the rows of one batch. `predict` raises PredictionFailed where a call hangs or ends its fork."""

    def __init__(self, stored: StoredVersion, *, rows: int, call_timeout_seconds: float, load_seconds: float) -> None:
        """`call_timeout_seconds`: for all `rows`; a part of them has less. `load_seconds`: to open the version."""
        self._stored = stored
        self._time = SearchTime(rows, call_timeout_seconds, SEARCH_SECONDS)
        self._load_seconds = load_seconds
        self._process: CodeProcess | None = None

    def __enter__(self) -> Self:
        """Start the process. Raises ArtefactError: no row is to blame for that."""
        self._process = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.end()

    @property
    def known_words(self) -> KnownWords:
        """Of encoders that pass over words they do not know."""
        return self._process.known_words if self._process is not None else {}

    def predict(self, features: pa.Table) -> Prediction:
        """The answers to the rows. Raises PredictionFailed with the reason, WrongAnswer."""
        seconds = self._time.for_rows(features.num_rows)
        page = encode_features(input_columns(features, self._stored.artefact.metadata.signature), features.num_rows)
        if self._process is None or not self._process.is_alive:
            if self._process is not None:
                self._process.end()  # what it has started may live
            self._process = self._start()
        try:
            return self._process.ask(page, features.num_rows, seconds=seconds, is_apart=True)
        except ModelEnded as error:  # not its fork alone
            raise PredictionFailed(str(error)) from None

    def _start(self) -> CodeProcess:
        return CodeProcess(self._stored, seconds=self._load_seconds)
