"""The inside of the process: open one version, and answer what is asked of it."""

from __future__ import annotations

import json
import os
import pickle
from typing import IO

from model.answering import WrongAnswer
from model.code.importing import install_code, place_in_code
from model.errors import ArtefactError
from worker.closed.message import read_message
from worker.models.loaded_model import LoadedModel
from worker.models.stored_version import StoredVersion
from worker.own_code.answers import write_answer, write_words
from worker.pages.decode import decode_features
from worker.scoring.forks import ForkEnded, answer_of_fork, die_with_parent


def serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    """A version first, then a page of features per call, until the pipe is closed."""
    os.register_at_fork(after_in_child=die_with_parent)  # whatever the code forks
    try:
        _, (version,) = read_message(calls)
        model = _open(pickle.loads(version), answers)  # noqa: S301 - our own parent wrote it
        while model is not None:
            asked, (page,) = read_message(calls)
            number, seconds = int(asked["call"]), asked["seconds_apart"]
            answer = _answer(model, page, number) if seconds is None else _answer_apart(model, page, number, seconds)
            _say(answers, answer)
    except EOFError:
        return


def _open(stored: StoredVersion, answers: IO[bytes]) -> LoadedModel | None:
    """The version opened, or None after the reason was told."""
    try:
        install_code(stored.artefact.code or b"")
        model = stored.load()
    except Exception as error:  # noqa: BLE001 - told to the worker
        _say(answers, write_words(0, "refused", str(error) if isinstance(error, ArtefactError) else _words(error)))
        return None
    known = {str(place): sorted(words) for place, words in model.known_words.items()}
    head = json.dumps({"call": 0, "known_words": known}, ensure_ascii=False)
    _say(answers, head.encode(errors="surrogatepass") + b"\n")
    return model


def _answer(model: LoadedModel, page: bytes, number: int) -> bytes:
    try:
        return write_answer(number, model.predict_columns(decode_features(page)))
    except WrongAnswer as error:
        return write_words(number, "wrong", str(error))
    except Exception as error:  # noqa: BLE001 - whatever the code raises is told
        place = place_in_code(error)  # of the text nothing is told: it may quote features
        name = type(error).__name__[:100]
        return write_words(number, "raised", name if place is None else f"{name} ({place})")


def _answer_apart(model: LoadedModel, page: bytes, number: int, seconds: float) -> bytes:
    """The answer of a fork, which may hang or end: this process and its model stay."""
    try:
        return answer_of_fork(lambda: _answer(model, page, number), seconds)
    except ForkEnded as ended:
        return write_words(number, "ended", str(ended))


def _say(answers: IO[bytes], data: bytes) -> None:
    answers.write(data)
    answers.flush()


def _words(error: Exception) -> str:
    place = place_in_code(error)
    # Short, because what follows is the place, and a row's error is cut where it is long.
    text = f"{type(error).__name__[:100]}: {str(error).partition(chr(10))[0][:300]}"
    return text if place is None else f"{text} ({place})"
