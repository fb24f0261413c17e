"""Prediction in a process apart, for batches whose rows may hang the model or kill its process.

The host is a fresh interpreter, not a fork: the worker's threads would not survive one. It loads the model once and
runs each call in a fork of its own, which may hang or die: the next call costs a fork, not another start.
"""

from __future__ import annotations

import os
import pickle
import selectors
import struct
import subprocess
import sys
import time
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa

from model.answering import Prediction, WrongAnswer
from model.artefact import Artefact
from model.errors import ArtefactError, ArtefactIncompatible
from worker.models.frame import input_columns
from worker.models.loaded_model import LoadedModel
from worker.models.references.answers import Reference, load_proven
from worker.models.unknown_words import KnownWords
from worker.scoring.forks import ForkEnded, answer_of_fork, die_with_parent, exit_words
from worker.scoring.prediction import EncoderRefused, PredictionFailed, is_encoders

_LENGTH = struct.Struct("!Q")
_START_SECONDS = 60  # to import the libraries, and again to load the model, on a busy machine
_LEAST_CALL_SECONDS = 5  # for a part of a batch, however small
_MARGIN_SECONDS = 10  # for the host to tell that a call took too long
SEARCH_SECONDS = 2700  # for all calls of one batch: well below the time limit of its task


class SearchTime:
    """How long the calls of a search for bad rows may take: each by its rows, and all together."""

    def __init__(self, rows: int, call_seconds: float, search_seconds: float) -> None:
        self._rows = rows
        self._call_seconds = call_seconds
        self._search_seconds = search_seconds
        self._deadline = time.monotonic() + search_seconds

    def for_rows(self, rows: int) -> float:
        """Seconds for a call of so many rows. Raises PredictionFailed where none are left."""
        share = max(self._call_seconds * rows / self._rows, min(self._call_seconds, _LEAST_CALL_SECONDS))
        seconds = min(share, self._deadline - time.monotonic())
        if seconds <= 0:
            raise PredictionFailed(f"not scored: the search for bad rows was given up after {self._search_seconds:g} s")
        return seconds


class IsolatedModel:
    """A model in a process of its own, for the rows of one batch.

    `predict` raises PredictionFailed when that process dies or hangs. A call for all `rows` may take
    `call_timeout_seconds`, one for a part of them accordingly less: else a few rows that hang take hours to find.
    """

    def __init__(
        self,
        artefact: Artefact,
        *,
        rows: int,
        call_timeout_seconds: float,
        search_seconds: float = SEARCH_SECONDS,
        load_seconds: float = _START_SECONDS,
        reference: Reference | None = None,
    ) -> None:
        self._artefact = artefact
        self._time = SearchTime(rows, call_timeout_seconds, search_seconds)
        self._load_seconds = load_seconds
        self._reference = reference
        self._child: subprocess.Popen[bytes] | None = None
        self.known_words: KnownWords = {}  # of the model's encoders, once it is loaded

    def __enter__(self) -> Self:
        """Start the process and load the model in it.

        Raises PredictionFailed where the process does not start, and ArtefactError where the model cannot be loaded in
        it, hangs there or ends it. No row is to blame for either.
        """
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def predict(self, features: pa.Table) -> Prediction:
        """The answers to the rows. Raises PredictionFailed with the reason, EncoderRefused, WrongAnswer."""
        seconds = self._time.for_rows(features.num_rows)
        try:
            child = self._child or self._start()
            _send(_pipe(child.stdin), (features, seconds))
            answer = self._receive(child, seconds + _MARGIN_SECONDS, "the process apart did not answer within")
        except (BrokenPipeError, EOFError):
            raise PredictionFailed(f"the model ended its process ({self._end()})") from None
        except TimeoutError as error:
            self._stop()
            raise PredictionFailed(str(error)) from None
        if isinstance(answer, str):
            raise PredictionFailed(answer)
        if isinstance(answer, (WrongAnswer, EncoderRefused)):
            raise answer
        found: Prediction = answer
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "worker.scoring.isolation"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            _send(_pipe(self._child.stdin), (self._artefact, self._reference))
            self._receive(self._child, _START_SECONDS, "the process apart did not start within")
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            self._stop()
            raise PredictionFailed(f"the process apart did not start: {error!r}") from error
        self._await_model(self._child)
        return self._child

    def _await_model(self, child: subprocess.Popen[bytes]) -> None:
        try:
            said = self._receive(child, self._load_seconds, "The model was not loaded within")
        except TimeoutError as error:
            self._stop()
            raise ArtefactIncompatible(f"{error}.") from None
        except EOFError:
            raise ArtefactIncompatible(f"The model ended the process that loaded it ({self._end()}).") from None
        if isinstance(said, str):
            self._stop()
            raise ArtefactError(said)
        self.known_words = said

    def _receive(self, child: subprocess.Popen[bytes], seconds: float, words: str) -> Any:
        deadline = time.monotonic() + seconds
        output = _pipe(child.stdout)
        data = b""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise TimeoutError(f"{words} {seconds:g} s")
                # No byte of the next message, which may be there already: one that cannot be loaded says so at once.
                size = _LENGTH.size if len(data) < _LENGTH.size else _LENGTH.size + _LENGTH.unpack_from(data)[0]
                piece = os.read(output.fileno(), min(size - len(data), 1 << 20))
                if not piece:
                    raise EOFError
                data += piece
        return pickle.loads(data[_LENGTH.size :])  # noqa: S301 - our own child wrote it

    def _end(self) -> str:
        """Clear away the child that has ended by itself; returns how it did."""
        code = self._child.wait() if self._child else 0
        self._stop()
        return exit_words(code)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:  # unsent bytes for a dead child: nobody misses them
                        continue
            self._child = None


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise TypeError("the child was started without this pipe")
    return stream


def _send(stream: IO[bytes], value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(stream.read(_LENGTH.unpack(head)[0]))  # noqa: S301 - our own parent wrote it


def serve() -> None:
    """The host's loop: a model first, then a table and its time-out per call, until the parent closes the pipe."""
    die_with_parent()
    # The model may print: that must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    calls = sys.stdin.buffer
    try:
        artefact, reference = _read(calls)
        _send(answers, "started")
        model = _load(artefact, reference, answers)
        while model is not None:
            features, seconds = _read(calls)
            _send(answers, _call_in_fork(model, features, seconds))
    except EOFError:
        return


def _load(artefact: Artefact, reference: Reference | None, answers: IO[bytes]) -> LoadedModel | None:
    """The model, after what its encoders know was told; or None, after the reason was."""
    try:
        model = load_proven(artefact, 0, reference=reference)
    except Exception as error:  # noqa: BLE001 - told to the worker, which states it on the rows
        words = str(error) if isinstance(error, ArtefactError) else f"{type(error).__name__}: {str(error)[:500]}"
        _send(answers, words)
        return None
    _send(answers, dict(model.known_words))
    return model


def _call_in_fork(model: LoadedModel, features: pa.Table, seconds: float) -> Any:
    """The prediction, or a text that says why there is none."""
    try:
        data = answer_of_fork(lambda: pickle.dumps(_answer(model, features)), seconds)
    except ForkEnded as ended:
        return str(ended)
    return pickle.loads(data)  # noqa: S301 - our own fork wrote it


def _answer(model: LoadedModel, features: pa.Table) -> Any:
    try:
        return model.ask_estimator(input_columns(features, model.signature))
    except WrongAnswer as error:
        return error
    except Exception as error:  # noqa: BLE001 - told to the worker, which isolates the row
        if is_encoders(error) and (refused := model.refused_values(features)):
            return EncoderRefused(refused)
        return f"the model raised {type(error).__name__}"  # its text may quote features


if __name__ == "__main__":
    serve()
