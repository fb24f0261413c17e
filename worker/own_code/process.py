"""The outside of the process: start it with a version, ask it, and end it with all that it has started."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from model.answering import Prediction, WrongAnswer
from model.errors import ArtefactError, ArtefactIncompatible
from shared.logging import get_logger
from shared.process_memory import own_bytes
from worker.closed.message import write_message
from worker.closed.process import can_close, closed_environment, end_group, how_closed
from worker.models.stored_version import StoredVersion
from worker.models.unknown_words import KnownWords
from worker.own_code.answers import MOST_LINE, MOST_WORDS, read_head, read_numbers
from worker.own_code.errors import ModelEnded
from worker.own_code.pipes import Pipes
from worker.scoring.forks import exit_words
from worker.scoring.prediction import PredictionFailed

Found = TypeVar("Found")

log = get_logger(__name__)

_MOST_KNOWN = 16 * 2**20  # bytes of the words that encoders know
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
_MARGIN_SECONDS = 10.0  # for the process to tell that a fork took too long


class CodeProcess:
    """A process with one version. After ModelEnded it is gone."""

    def __init__(self, stored: StoredVersion, *, seconds: float) -> None:
        """Start it and open the version in it, within `seconds`. Raises ArtefactError."""
        metadata = stored.checked().metadata
        self._task, self._classes = metadata.task, len(metadata.classes)
        self._calls = 0
        self._is_over = False
        if not can_close():
            log.warning("code of a version runs less closed in", version=stored.version_id, how=how_closed())
        self._child = subprocess.Popen(
            [sys.executable, "-m", "worker.own_code"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=closed_environment(),
            start_new_session=True,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._pipes = Pipes(self._child.stdin.fileno(), self._child.stdout.fileno())
        self.known_words = self._open(stored, seconds)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return not self._is_over and self._child.poll() is None

    def own_bytes(self) -> int:
        """What it takes of memory for itself; 0 where the system does not tell."""
        return own_bytes(self._child.pid)

    def ask(self, page: bytes, rows: int, *, seconds: float, is_apart: bool = False) -> Prediction:
        """The answers to a page of features, within `seconds`; `is_apart`: by a fork, which alone ends if it must.

        Raises WrongAnswer, PredictionFailed with what the model raised, and ModelEnded.
        """
        self._calls += 1
        message = write_message({"call": self._calls, "seconds_apart": seconds if is_apart else None}, [page])
        deadline = time.monotonic() + seconds + (_MARGIN_SECONDS if is_apart else 0.0)

        def exchange() -> Prediction:
            self._pipes.send(message, deadline)
            head = read_head(self._pipes.read_line(MOST_LINE, deadline), self._calls)
            if "error" in head:
                raise _error(str(head["error"]), str(head["words"])[:MOST_WORDS])
            return read_numbers(lambda size: self._pipes.read(size, deadline), rows, self._task, self._classes)

        return self._guarded(exchange, f"the model did not answer within {seconds:g} s")

    def end(self) -> None:
        """End it, and whatever it has started; once, because its number may be another process's after that."""
        if self._is_over:
            return
        self._is_over = True
        end_group(self._child)
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # nobody misses what was not sent
                    pipe.close()

    def _open(self, stored: StoredVersion, seconds: float) -> KnownWords:
        deadline = time.monotonic() + seconds

        def exchange() -> KnownWords:
            self._pipes.send(write_message({}, [pickle.dumps(stored)]), deadline)
            head = read_head(self._pipes.read_line(_MOST_KNOWN, deadline), 0)
            if "error" in head:
                raise ArtefactError(str(head["words"])[:MOST_WORDS])
            return _read_known(head["known_words"])

        try:
            return self._guarded(exchange, f"The model was not loaded within {seconds:g} s.")
        except ModelEnded as error:
            raise ArtefactIncompatible(str(error)) from None
        except ArtefactError:
            self.end()
            raise

    def _guarded(self, exchange: Callable[[], Found], late: str) -> Found:
        """What `exchange` returns. A process that does not keep to the rules is ended."""
        try:
            return exchange()
        except (PredictionFailed, WrongAnswer, ArtefactError):
            raise  # said by the rules
        except (BrokenPipeError, EOFError):
            code = self._wait()
            words = f"the model ended its process ({exit_words(code)})"
        except TimeoutError:
            words = late
        except _UNREADABLE as error:
            words = f"the process of the model answered what cannot be read: {type(error).__name__}"
        except BaseException:  # what it says next would answer a call that nobody waits for
            self.end()
            raise
        self.end()
        raise ModelEnded(words)

    def _wait(self) -> int:
        """How it ended; it may have closed its output alone."""
        try:
            return self._child.wait(1)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()


def _error(what: str, words: str) -> Exception:
    if what == "wrong":
        return WrongAnswer(words)
    if what == "raised":
        return PredictionFailed(f"the model raised {words}")
    if what == "ended":
        return PredictionFailed(words)
    return ValueError(what)


def _read_known(said: Mapping[str, Iterable[Any]]) -> KnownWords:
    """The words and numbers that the encoders know. Raises ValueError where they are anything else."""
    known = {int(place): frozenset(words) for place, words in said.items()}
    for words in known.values():
        if not (all(isinstance(word, str) for word in words) or all(isinstance(word, (int, float)) for word in words)):
            raise ValueError("words and numbers in one")
    return known
