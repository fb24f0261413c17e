"""The small parts of shared: settings, signatures, the queue's messages, logging."""

from __future__ import annotations

import json
import logging
import math
import warnings
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from examples.hr_attrition.features import FEATURES
from shared.config import Environment, Settings, SettingsRefused, load_settings
from shared.errors import DatabaseUnavailable
from shared.jobs.accepting.bulk import rows_per_batch
from shared.jobs.accepting.key_pages import KeyPage, ListedIds
from shared.logging import configure_logging, get_logger
from shared.messaging.celery_app import make_celery
from shared.messaging.messages import Notice, format_notice, parse_notice, server_version
from shared.models.new_version import NewVersion
from shared.models.signature import FeatureKind, FeatureSpec, Signature, check_value
from shared.models.task import Task
from shared.pages.request_id import RequestId, parse_request_id
from shared.status import Queue

DATABASE = "postgresql+psycopg2://u:hush-hush@localhost/db"
REDIS = "redis://:hush-hush@localhost:6379/0"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two URLs are all that is needed; an empty variable counts as not set; secrets do not show."""
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("REDIS_URL", REDIS)
    monkeypatch.setenv("PREDICTQ_LEASE_SECONDS", "7")
    monkeypatch.setenv("PREDICTQ_MAX_ATTEMPTS", "")
    settings = load_settings()
    assert (settings.lease_seconds, settings.max_attempts) == (7, 3)
    assert settings.environment is Environment.PRODUCTION
    assert "hush-hush" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"database_url": None}, "DATABASE_URL: is not set"),
        ({"redis_url": None}, "REDIS_URL: is not set"),
        ({"database_url": "mysql://u@h/db"}, "DATABASE_URL must start with postgresql://"),
        ({"redis_url": "amqp://h"}, "REDIS_URL must start with redis://"),
        ({"auth_disabled": True}, "PREDICTQ_AUTH_DISABLED is for PREDICTQ_ENVIRONMENT=development only"),
        ({"lease_seconds": 600, "batch_timeout_seconds": 60}, "must be longer than a third of the lease"),
        ({"lease_seconds": 0}, "PREDICTQ_LEASE_SECONDS: Input should be greater than or equal to 1"),
        ({"log_level": "LOUD"}, "PREDICTQ_LOG_LEVEL"),
        ({"max_attempts": "many"}, "PREDICTQ_MAX_ATTEMPTS"),
    ],
)
def test_unusable_settings_are_refused_by_name(changes: dict[str, Any], words: str) -> None:
    """A refusal names the variable and what it must be."""
    values = {"database_url": DATABASE, "redis_url": REDIS, **changes}
    with pytest.raises(SettingsRefused, match=words):
        load_settings(**{name: value for name, value in values.items() if value is not None})


SPEC = Signature(
    (
        FeatureSpec("age", FeatureKind.INTEGER, minimum=14, maximum=120),
        FeatureSpec("team", FeatureKind.INTEGER, nullable=True),
        FeatureSpec("rank", FeatureKind.INTEGER, nullable=True, minimum=0),
        FeatureSpec("pay", FeatureKind.NUMBER, nullable=True),
        FeatureSpec("job", FeatureKind.CATEGORY, categories=("a", "b")),
        FeatureSpec("word", FeatureKind.CATEGORY, nullable=True),
        FeatureSpec("busy", FeatureKind.BOOLEAN),
    )
)
GOOD: dict[str, Any] = {"age": 30, "pay": 1.5, "job": "a", "word": "any", "busy": False}


@pytest.mark.parametrize("change", [{}, {"age": 30.0}, {"pay": None}, {"pay": 3}, {"word": None}, {"word": ""}])
def test_good_features_have_no_problem(change: dict[str, Any]) -> None:
    """Whole numbers in either notation, and nulls where the model imputes."""
    assert SPEC.problems({**GOOD, **change}) == []


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"age": None}, "missing_feature", "age is missing"),
        ({"age": 30.5}, "invalid_feature", "age must be a whole number from 14 to 120"),
        ({"age": 2**31}, "invalid_feature", "age must be at most 120; got 2.14748e+09"),
        ({"age": 10**400}, "invalid_feature", "age must be a whole number"),
        ({"age": math.inf}, "invalid_feature", "age must be a whole number"),
        ({"age": True}, "invalid_feature", "age must be a whole number"),
        ({"age": "30"}, "invalid_feature", "age must be a whole number from 14 to 120"),
        ({"team": 30.5}, "invalid_feature", "team must be a whole number"),
        ({"team": 2**63}, "invalid_feature", "team must be a whole number from -9223372036854775808 to"),
        ({"team": float(2**53)}, "invalid_feature", "team must be a whole number in plain digits: with a point"),
        ({"rank": -1.5}, "invalid_feature", "rank must be a whole number of at least 0"),
        ({"age": 13}, "invalid_feature", "age must be at least 14; got 13"),
        ({"age": 121}, "invalid_feature", "age must be at most 120; got 121"),
        ({"pay": math.nan}, "invalid_feature", "pay is NaN, which is no number and no missing"),
        ({"pay": -math.inf}, "invalid_feature", "pay must be a finite number"),
        ({"job": "c"}, "invalid_feature", "job must be one of 'a', 'b'; got 'c'"),
        ({"job": 1}, "invalid_feature", "job must be a string"),
        ({"word": "nul \x00"}, "invalid_feature", "word must be a string without NUL"),
        ({"word": "\ud800"}, "invalid_feature", "lone surrogates"),
        ({"busy": 1}, "invalid_feature", "busy must be true or false"),
        ({"shoe": 40}, "unknown_feature", "the model has no feature 'shoe'"),
    ],
)
def test_each_bad_feature_is_named(change: dict[str, Any], code: str, words: str) -> None:
    """One bad value is one problem, with a code for programs and words for people."""
    (problem,) = SPEC.problems({**GOOD, **change})
    assert (problem.code, problem.name) == (code, next(iter(change)))
    assert words in problem.detail


def test_a_signature_survives_json() -> None:
    """What is stored with a model is what is read."""
    assert Signature.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC
    assert Signature.from_json(Signature(FEATURES).to_json()).names == tuple(f.name for f in FEATURES)


def test_a_missing_value_is_fine_where_nullable() -> None:
    """None is checked before types."""
    assert check_value(FeatureSpec("x", FeatureKind.NUMBER, nullable=True), None) is None


def test_notices_survive_the_wire() -> None:
    """A notice names the batch, for a bulk job the job, and how many rows are done where that is known."""
    for notice in (Notice(7, uuid4(), 5000), Notice(7, None, 3), Notice(7, uuid4()), Notice(7, None)):
        assert parse_notice(format_notice(notice)) == notice


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"redis_version": "7.4.1"}, "Redis 7.4.1"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
    ],
)
def test_a_server_is_called_by_its_own_name(told: dict[str, str], name: str) -> None:
    """Valkey's version is told, not that of the Redis which it is compatible with."""

    class Server(Redis):
        def info(self, section: str | None = None, *args: str, **options: Any) -> dict[str, str]:
            return told

    assert server_version(Server()) == name


@given(st.integers(0, 10**18 - 1), st.integers(0, 99_999))
def test_a_request_id_reads_back_as_it_was_said(batch_id: int, row: int) -> None:
    """`1042-7` is row 7 of batch 1042, in one form only."""
    request_id = RequestId(batch_id, row)
    assert str(request_id) == f"{batch_id}-{row}"
    assert parse_request_id(str(request_id)) == request_id


@pytest.mark.parametrize(
    "text",
    ["", "1042", "1042-", "-7", "1042-7 ", " 1042-7", "1042-7\n", "1042--7", "01042-7", "1042-07", "1042-7-1", "+1-7",
     "1_0-7", "1e3-7", "١-٧", "1042–7", "9" * 19 + "-7", "1042-1000000", "1042-7; DROP"],
)  # fmt: skip
def test_what_is_no_request_id_is_none(text: str) -> None:
    """Nothing but the one form is taken, whatever digits Unicode has, and no number that PostgreSQL could not hold."""
    assert parse_request_id(text) is None


def test_a_digest_covers_all_that_makes_an_answer() -> None:
    """Another file, signature, threshold, class or source is another version; the same ones are the same."""
    new = NewVersion("churn", Task.BINARY, 1, "a" * 64, SPEC, [0, 1], 0.5, {}, b"")
    again = replace(new, signature=Signature.from_json(json.loads(json.dumps(SPEC.to_json()))), metadata={"x": 1})
    assert again.digest == new.digest
    others = {
        replace(new, sha256="b" * 64).digest,
        replace(new, signature=Signature(SPEC.features[:-1])).digest,
        replace(new, signature=Signature(SPEC.features[::-1])).digest,
        replace(new, threshold=math.nextafter(0.5, 1)).digest,
        replace(new, classes=[1, 0]).digest,
        replace(new, source_id=2).digest,
        replace(new, code=b"x").digest,
    }
    assert len(others | {new.digest}) == 8


@pytest.mark.parametrize(
    ("count", "rows"), [(1, 5000), (5000, 5000), (40_000, 5000), (40_001, 5001), (80_000, 10_000), (10**7, 10_000)]
)
def test_a_job_is_cut_so_that_workers_share_it(count: int, rows: int) -> None:
    """In about eight batches, none so small that its claim is felt, none above what is asked for."""
    assert rows_per_batch(count, most=10_000) == rows
    assert rows_per_batch(count, most=7) == 7


@pytest.mark.parametrize(("rows", "ids"), [(2, [b"1,2", b"3"]), (3, [b"1,2,3"]), (1, [b"1", b"2", b"3"])])
def test_listed_ids_can_be_read_again(rows: int, ids: list[bytes]) -> None:
    """A list gives its ids in order, and again from the start."""
    listed = ListedIds([1, 2, 3])
    assert list(listed.pages(rows)) == list(listed.pages(rows)) == [KeyPage(keys) for keys in ids]


def test_the_celery_app_has_the_settings_that_delivery_depends_on() -> None:
    """Late acknowledgement, rejection on a lost process, one message at a time, JSON only, patient reconnects."""
    app = make_celery(Settings.model_validate({"database_url": DATABASE, "redis_url": REDIS}))
    conf = app.conf
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost, conf.worker_prefetch_multiplier) == (True, True, 1)
    assert (conf.accept_content, conf.task_ignore_result) == (["json"], True)
    assert conf.broker_connection_max_retries is None
    assert conf.broker_transport_options["queue_order_strategy"] == "priority"
    assert [queue.name for queue in conf.task_queues] == [Queue.INTERACTIVE, Queue.BULK]


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_all_logs_take_one_form(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """Our logs, those of libraries, errors and warnings are one JSON object per line, or lines for people."""
    settings = Settings.model_validate({"database_url": DATABASE, "redis_url": REDIS, "log_format": log_format})
    configure_logging(settings, service="test")
    get_logger("ours").info("batch done", batch_id=7)
    logging.getLogger("theirs").warning("hello %s", "world")
    get_logger("ours").error("failed", exc_info=ValueError("bad\nluck"))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("take care", UserWarning, stacklevel=1)
    written = capsys.readouterr().err
    assert "batch done" in written
    assert "take care" in written
    if log_format == "json":
        events = [json.loads(line) for line in written.splitlines()]
        assert [event["level"] for event in events] == ["info", "warning", "error", "warning"]
        assert {event["service"] for event in events} == {"test"}
        assert events[2]["exception"].splitlines()[-1] == "ValueError", "no text that could hold a value"


def test_a_database_error_is_one_line() -> None:
    """The driver's many lines are cut to the first."""
    error = OSError(111, "refused\n\tIs it running?")
    assert str(DatabaseUnavailable(error)) == "PostgreSQL does not answer: ConnectionRefusedError: [Errno 111] refused"
