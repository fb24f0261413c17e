"""What a log says of an error: no value, whatever raised it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from shared.config import Settings
from shared.errors import DatabaseUnavailable, FilterRefused, NoLiveModel
from shared.logging import configure_logging, get_logger
from shared.told_errors import traceback_without_values, words_of

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


def test_a_ring_of_errors_comes_to_an_end() -> None:
    """Python makes them where an error is raised again inside its own handling."""
    first, second = ValueError("a"), KeyError("b")
    first.__context__, second.__context__ = second, first
    assert traceback_without_values(first).count("Traceback") == 2
