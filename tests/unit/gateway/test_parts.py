"""The gateway's small parts: headers, media types, the publisher's circuit, problems."""

from __future__ import annotations

import asyncio
import errno
import threading

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.access.oidc import fetch
from api.http.negotiation import choose
from api.http.problems import _BY_ERROR, KINDS, Invalid, Problem, pointer, problem_of
from api.http.requests import headers_of, idempotency_key, require_utf8, wait_seconds
from api.intake.publisher import Publisher
from api.jobs.notices import Notices
from shared import errors, pauses
from shared.access import api_keys
from shared.erasure import errors as erasure_errors
from shared.messaging.messages import Notice
from shared.retention.rules import errors as retention_errors
from shared.sources import errors as source_errors
from shared.sources import row_files
from shared.status import Queue
from tests.support import wait_until


def request_with(*headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "headers": list(headers)})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"wait=10", 10),
        (b"respond-async, wait=5", 5),
        (b"Wait = 7 ; foo=bar", 7),
        (b'wait="3"', 3),
        (b'foo="a, b"; c="\\"", wait=5', 5),
        (b'foo="a, wait=3"', 0),
        (b'foo="\\", wait=3"', 0),
        (b'foo="a, wait=3', 0),
        (b'a="3", b="wait=4"', 0),
        (b'"\\' * 100_000, 0),
        (b"wait=100", 60),
        (b"wait=0", 0),
        (b"wait=-1", 0),
        (b"wait=ten", 0),
        (b"await=10", 0),
        (b"respond-async", 0),
    ],
)
def test_prefer_wait_is_read_as_rfc_7240_says(header: bytes, seconds: int) -> None:
    """Case does not matter, other preferences may stand around it, nonsense is ignored, a minute is the most."""
    request = request_with((b"prefer", header))
    assert wait_seconds(request, headers_of(request)) == seconds


def test_prefer_may_come_in_several_headers() -> None:
    """They count as one list."""
    request = request_with((b"prefer", b"wait=4"), (b"prefer", b"respond-async"))
    assert wait_seconds(request, headers_of(request)) == 4


@pytest.mark.parametrize(
    ("media_type", "is_taken"),
    [
        ("text/csv", True),
        ("text/csv; charset=UTF-8", True),
        ('text/csv; header=present; charset="utf-8"', True),
        ("text/csv;charset=us-ascii", True),
        ("text/csv; charset=iso-8859-1", False),
        ('application/json; Charset="windows-1252"', False),
        ("application/x-ndjson; charset=utf-16", False),
        ("text/csv; charset=", False),
    ],
)
def test_a_text_in_another_encoding_than_utf_8_is_refused(media_type: str, is_taken: bool) -> None:
    """Its umlauts may be UTF-8 as well, of other letters: clients whom nobody named."""
    headers = {b"content-type": media_type.encode()}
    if is_taken:
        require_utf8(headers)
        return
    with pytest.raises(Problem, match="UTF-8") as refused:
        require_utf8(headers)
    assert refused.value.kind.status == 415


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"with blank", b"caf\xc3\xa9", b"\x00"])
def test_an_idempotency_key_is_visible_ascii(key: bytes) -> None:
    """1 to 255 characters, none of them blank."""
    with pytest.raises(Invalid):
        idempotency_key({b"idempotency-key": key})


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json;q=0.5, text/csv", "text/csv"),
        ("text/csv;q=0, */*;q=0.1", "application/json"),
        ("Text/CSV; charset=utf-8", "text/csv"),
    ],
)
def test_the_accept_header_chooses(accept: str, chosen: str) -> None:
    """By weight, then by the order of the offers; the most specific range counts."""
    assert choose(accept, ("application/json", "text/csv")) == chosen


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "text/csv;q=x"])
def test_what_cannot_be_given_is_406(accept: str) -> None:
    """Refused, with what there is."""
    with pytest.raises(Problem) as caught:
        choose(accept, ("text/csv",), "Files: POST /v1/exports.")
    assert caught.value.kind.status == 406
    assert caught.value.detail == "This call can answer with text/csv. Files: POST /v1/exports."


def test_every_error_of_a_caller_has_a_kind_of_its_own() -> None:
    """Kinds have unique codes, and what a call can raise is mapped; the worker's own errors are nobody's answer."""
    nobodys = {
        *(errors.PredictqError, errors.FenceLost),
        *(erasure_errors.ErasureError, erasure_errors.ErasureInterrupted),
        *(erasure_errors.ErasureLogRefused, erasure_errors.ErasureLogUnwritable),
        *(erasure_errors.ErasureBlocked, erasure_errors.ErasuresWait),
        *(erasure_errors.NoHashSecret, erasure_errors.OtherHashSecret),
        *(retention_errors.RetentionError, retention_errors.RetentionBusy),
        *(retention_errors.DoesNotAddUp, retention_errors.HoldsChanged, retention_errors.PeriodsChanged),
        *(retention_errors.ExportFailed, retention_errors.ClocksDisagree),
        *(source_errors.SourceError, fetch.ProviderRefuses),
    }
    modules = (errors, retention_errors, erasure_errors, source_errors, api_keys, pauses, fetch, row_files)
    found = [(module, each) for module in modules for each in vars(module).values()]
    raised = {
        each
        for module, each in found
        if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == module.__name__
    }
    assert raised - nobodys == set(_BY_ERROR)
    assert all(KINDS[kind.code] is kind for kind in _BY_ERROR.values())
    assert problem_of(errors.FenceLost(1, 1)) is None
    assert problem_of(KeyError()) is None


def test_a_full_temporary_directory_is_named() -> None:
    """The caller may try again later; any other failure of a file is nobody's fault but ours."""
    problem = problem_of(OSError(errno.ENOSPC, "No space left on device"))
    assert problem is not None
    assert (problem.kind.code, problem.kind.status) == ("no-room", 503)
    assert problem_of(OSError(errno.EIO, "Input/output error")) is None


def test_pointers_are_escaped() -> None:
    """As RFC 6901 says."""
    assert pointer("a/b", "c~d") == "/a~1b/c~0d"


class Broker:
    """Records what is published; fails while `is_away`."""

    def __init__(self) -> None:
        self.published: list[Queue] = []  # one entry per message
        self.attempts = 0
        self.is_away = False

    def __call__(self, messages: int, queue: Queue) -> None:
        self.attempts += 1
        if self.is_away:
            raise ConnectionError("away")
        self.published += [queue] * messages


def test_the_publisher_publishes_in_order_and_flushes_at_the_end() -> None:
    """Nothing that was put before `stop` is lost while Redis is there."""
    broker = Broker()
    publisher = Publisher(broker)
    publisher.start()
    publisher.put(0, Queue.INTERACTIVE)
    publisher.put(99, Queue.BULK)
    publisher.put(1, Queue.INTERACTIVE)
    publisher.stop()
    assert broker.published == [Queue.BULK] * 99 + [Queue.INTERACTIVE]
    assert broker.attempts == 2  # one for all batches of a commit
    assert publisher.published == 100
    assert publisher.failures == 0


def test_one_hiccup_loses_nothing() -> None:
    """The connection that Redis dropped while idle fails once; the batch goes out on the next one."""
    broker = Broker()
    fails = iter([True, False])

    def publish(messages: int, queue: Queue) -> None:
        if next(fails):
            raise ConnectionError("reset")
        broker(messages, queue)

    publisher = Publisher(publish)
    publisher.start()
    publisher.put(1, Queue.BULK)
    publisher.stop()
    assert broker.published == [Queue.BULK]


def test_while_redis_is_away_nothing_is_tried_for_a_while() -> None:
    """After a failure batches are left to the sweeper without a try; later one try finds out."""
    broker = Broker()
    broker.is_away = True
    publisher = Publisher(broker)
    publisher.start()
    for _ in range(50):
        publisher.put(1, Queue.INTERACTIVE)
    wait_until(lambda: publisher.failures == 50, what="all given up")
    assert broker.attempts == 2
    assert not publisher.is_healthy
    broker.is_away = False

    def delivered() -> bool:
        publisher.put(1, Queue.INTERACTIVE)
        return bool(broker.published)

    wait_until(delivered, what="the circuit closes")
    wait_until(lambda: publisher.is_healthy, what="healthy again")
    publisher.stop()


def test_a_full_publisher_never_blocks() -> None:
    """What does not fit is counted and left to the sweeper, and the end does not wait for ever."""
    go = threading.Event()
    publisher = Publisher(lambda _messages, _queue: go.wait() and None, capacity=2)
    publisher.start()
    for _ in range(10):
        publisher.put(3, Queue.BULK)
    assert publisher.failures >= 3 * 7
    publisher.stop(timeout=0.05)
    go.set()


def test_a_notice_that_nobody_understands_is_ignored() -> None:
    """Whatever is published on the channel, the subscription goes on."""
    taken: list[Notice] = []

    async def run() -> None:
        notices = Notices("redis://127.0.0.1:1/0", taken.append)
        for data in (b"nonsense", b"7::many", b"\xff\xfe\xfa", "７:".encode(), b"7:"):
            notices._take(data)
        await notices.stop()

    asyncio.run(run())
    assert taken == [Notice(7, None)]


def test_http_errors_without_a_kind_are_problems_all_the_same() -> None:
    """A status that a library raises keeps its number, and names no type that nothing explains."""
    problem = problem_of(HTTPException(418, "teapot"))
    assert problem is not None
    assert (problem.kind.status, problem.kind.title, problem.detail) == (418, "I'm a Teapot", "teapot")
    assert problem.kind.type == "about:blank"
    assert all(kind.type == f"/problems/{code}" for code, kind in KINDS.items())
