"""What a log says of an error: no value, whatever raised it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
from sqlalchemy import create_engine

from model.errors import ArtefactCorrupt, ModelRefused
from shared.config import Settings
from shared.errands import ClaimedErrand
from shared.errors import DatabaseUnavailable, FilterRefused, NoLiveModel
from shared.logging import configure_logging, get_logger
from shared.told_errors import traceback_without_values, words_of
from worker.errands import runner
from worker.errands.failures import ErrandRefused

MARKER = "73313-planted"


class FromDriver(Exception):
    """As psycopg2 raises them."""

    pgcode = "23505"


def _value() -> None:
    raise ValueError(f"could not convert {MARKER}")


def _chained() -> None:
    try:
        _value()
    except ValueError as error:
        raise KeyError(MARKER) from error


def _driver() -> None:
    raise FromDriver(f"DETAIL: Key (key)=({MARKER}) already exists")


def _ours() -> None:
    raise FilterRefused("age", f"age is {MARKER}")


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("fail", [_value, _chained, _driver, _ours])
def test_a_traceback_has_the_places_and_no_values(fail: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """From our own loggers and from a library's, which puts the error into its message, too."""
    given = {"database_url": "postgresql://h/d", "redis_url": "redis://h"}
    configure_logging(Settings.model_validate(given), service="test")
    try:
        fail()
    except Exception as error:
        get_logger("ours").exception("failed")
        logging.getLogger("celery.app.trace").exception("Task raised: %r", error)  # noqa: TRY401 - as Celery does
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert MARKER not in json.dumps(line)
        assert fail.__name__ in line["exception"], "where it happened"
    assert lines[1]["event"].startswith("Task raised: ")


def test_words_of_an_error() -> None:
    """SQLSTATEs, and texts that are about connections, files and modules."""
    assert words_of(FromDriver(MARKER)) == "FromDriver (SQLSTATE 23505)"
    assert words_of(ValueError(MARKER)) == "ValueError"
    assert words_of(ConnectionRefusedError(111, "refused")) == "ConnectionRefusedError: [Errno 111] refused"
    assert words_of(NoLiveModel()).startswith("NoLiveModel: No model is live")
    assert words_of(FilterRefused("age", MARKER)) == "FilterRefused"
    assert str(DatabaseUnavailable(ValueError(MARKER))) == "PostgreSQL does not answer: ValueError"


@pytest.mark.parametrize("kind", [AttributeError, NameError, ImportError, OSError, TimeoutError])
def test_a_text_alone_is_anybodys(kind: type[Exception]) -> None:
    """Python names what it did not find; code of a model may raise the same error with a value in its text."""
    assert words_of(kind(MARKER)) == kind.__name__
    with pytest.raises(AttributeError) as missing:
        _ = json.no_such_thing  # type: ignore[attr-defined]
    assert words_of(missing.value) == "AttributeError: module 'json' has no attribute 'no_such_thing'"
    with pytest.raises(OSError, match="No such file") as gone:
        Path("/no/such/file").read_bytes()
    assert words_of(gone.value) == "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'"


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(
    "error", [ErrandRefused("model_refused", MARKER), ModelRefused(MARKER), ArtefactCorrupt(MARKER), OSError(MARKER)]
)
def test_what_code_of_a_model_raised_is_for_the_caller_and_not_for_the_log(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the kind of the error, and which errand it was."""

    def fail(_: object) -> dict[str, object]:
        raise error

    held = ClaimedErrand(uuid4(), "register_model", "alice", {}, 1)
    kept: list[dict[str, object]] = []
    monkeypatch.setattr(runner, "autocommit", nullcontext)
    monkeypatch.setattr(runner, "claim_errand", lambda *_, **__: held)
    monkeypatch.setattr(runner, "finish_errand", lambda _, __, result, **___: kept.append(result) or True)
    given = {"database_url": "postgresql://h/d", "redis_url": "redis://h"}
    configure_logging(Settings.model_validate(given), service="test")
    engine = create_engine("sqlite://")
    runner.ErrandRunner(engine, {"register_model": fail}, worker="w", stopped=Event()).do_next()
    engine.dispose()
    line = json.loads(capsys.readouterr().err)
    assert MARKER not in json.dumps(line)
    assert line["reason"] == type(error).__name__
    assert (MARKER in str(kept)) is not isinstance(error, OSError)


def test_a_ring_of_errors_comes_to_an_end() -> None:
    """Python makes them where an error is raised again inside its own handling."""
    first, second = ValueError("a"), KeyError("b")
    first.__context__, second.__context__ = second, first
    assert traceback_without_values(first).count("Traceback") == 2
