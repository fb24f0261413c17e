"""One request, one meaning: limits of heads, ambiguity, trailers, and what stands behind a request."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.wire.wire_support import WireGateway

ONE = b'{"client_id": 1}'
LIVE = b'{"status":"ok"}'


@pytest.fixture(scope="module")
def wire(engine_and_settings: tuple[Engine, Settings]) -> Iterator[WireGateway]:
    """A gateway with the limits that everybody has."""
    engine, settings = engine_and_settings
    with running_gateway(settings, new_key(engine, "alice")) as gateway:
        yield WireGateway(gateway, engine)


@pytest.mark.parametrize(
    ("begin", "more", "status", "reason"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n" * 1000, 431, "head_too_large"),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nlong: ", b"v" * 6000, 431, "head_too_large"),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nlong", b"n" * 6000, 431, "head_too_large"),
        (b"GET /", b"u" * 6000, 414, "request_line_too_long"),
        (b"GET /health/live?", b"q" * 6000, 414, "request_line_too_long"),
        (b"A", b"B" * 6000, 414, "request_line_too_long"),
    ],
    ids=["headers", "a value", "a name", "a path", "a query", "a method"],
)
def test_a_head_without_end_is_cut(wire: WireGateway, begin: bytes, more: bytes, status: int, reason: str) -> None:
    """The caller learns why, though she is still sending; a megabyte is never taken."""
    with wire.counting(reason), wire.connect() as connection:
        connection.send(begin)
        connection.send(more * 6)
        answer = connection.answer()
        assert answer.status == status
        assert answer.problem["detail"].startswith(("The request line", "Request line"))
        assert connection.pour(more, most=20_000_000) < 8_000_000  # nearly all of it in the buffers of two sockets


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health/live?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"q" * 8000), 200),
        (b"GET /health/live?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"q" * 8300), 414),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n%b\r\n" % b"".join(b"a%d: 1\r\n" % i for i in range(99)), 200),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n%b\r\n" % b"".join(b"a%d: 1\r\n" % i for i in range(100)), 431),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\na: %b\r\n\r\n" % (b"v" * 32_000), 200),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\na: %b\r\n\r\n" % (b"v" * 33_000), 431),
    ],
    ids=["8,000 of query", "8,300 of query", "100 headers", "101 headers", "32,000 bytes", "33,000 bytes"],
)
def test_what_a_head_may_have(wire: WireGateway, request_: bytes, status: int) -> None:
    """Up to each limit it is answered as always, in one packet or byte by byte, and above it is not."""
    for step in (len(request_), 1000):
        with wire.connect() as connection:
            for start in range(0, len(request_), step):
                connection.send(request_[start : start + step])
            answer = connection.answer()
            assert answer.status == status
            assert status == 200 or answer.problem["type"].endswith(("line-too-long", "head-too-large"))


@pytest.mark.parametrize(
    "lines",
    [
        "GET /health/live HTTP/1.1",
        "GET /health/live HTTP/1.1\r\nHost: x\r\nHost: x",
        "GET /health/live HTTP/1.1\r\nHost: x\r\nhost: y",
        "GET /health/live HTTP/1.1\r\nHost: ",
        "GET /health/live HTTP/1.1\r\nHost: a b",
        "GET /health/live HTTP/1.1\r\nHost: x/../y",
        "GET /health/live HTTP/1.1\r\nHost: user@x",
        "GET http://y/health/live HTTP/1.1\r\nHost: x",
        "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: KEY\r\nAuthorization: KEY",
        "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pq_no\r\nAuthorization: KEY",
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: KEY\r\nIdempotency-Key: a\r\nIdempotency-Key: b",
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: KEY\r\nContent-Type: text/csv\r\nContent-Type: text/plain",
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: KEY\r\nContent-Encoding: a\r\nContent-Encoding: b",
        "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nCookie: a=1\r\nCookie: a=2",
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused(wire: WireGateway, lines: str) -> None:
    """Whichever reading a proxy before us has chosen, nothing is done by the other one."""
    before = wire.stored()
    with wire.counting("ambiguous"):
        answers = wire.ask(lines.replace("KEY", wire.key).encode() + b"\r\n\r\n")
    assert [answer.status for answer in answers] == [400]
    assert answers[0].problem["type"] == "/problems/ambiguous-request"
    assert answers[0].header("connection") == "close"
    assert wire.stored() == before


@pytest.mark.parametrize(
    "host", ["x", "x:8000", "127.0.0.1", "[::1]:8000", "a-b_c.example", "X.example:", "xn--bcher-kva.example"]
)
def test_any_well_formed_host_is_answered(wire: WireGateway, host: str) -> None:
    """Behind a proxy we cannot know what it is called."""
    with wire.connect() as connection:
        for target in ("/health/live", f"http://{host.rstrip(':')}/health/live"):
            answer = connection.send(wire.get(target, host=host.rstrip(":"))).answer()
            assert answer.body == LIVE


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"garbage\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nspace : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nnul: \0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        *(
            b"POST /v1/predict HTTP/%b\r\nHost: x\r\nTransfer-Encoding: %b\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            % (version, coding)
            for version, coding in (
                (b"1.1", b"gzip, chunked"),
                (b"1.1", b"chunked, chunked"),
                (b"1.1", b"identity, chunked"),
                (b"1.1", b"x,chunked"),
                (b"1.0", b"chunked"),
            )
        ),
    ],
)
def test_what_is_no_http_is_refused_at_once(wire: WireGateway, sent: bytes) -> None:
    """In problem+json, which is more than most who send such things can read, and then the connection ends."""
    answers = wire.ask(sent)
    assert [answer.status for answer in answers] == [400]
    assert answers[0].problem["type"] in ("/problems/malformed-request", "/problems/ambiguous-request")


def test_a_method_that_nobody_knows_is_named(wire: WireGateway) -> None:
    """Such a request is one of HTTP/1.1, and whoever sent it learns what is wrong with it."""
    for method in ("FOO", "get", "GETX"):
        (answer,) = wire.ask(f"{method} /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.status == 400
        assert answer.problem["detail"].startswith("The method of this request is unknown")
        assert "This is no" not in answer.problem["title"]


def test_trailers_mean_nothing(wire: WireGateway) -> None:
    """No key, no Idempotency-Key, no request id: headers stand before the body."""
    before = wire.stored()
    end = b"0\r\n%b\r\n\r\n"
    with wire.connect() as connection:
        connection.send(wire.chunked(ONE, key=False) + end % f"Authorization: {wire.key}".encode())
        answer = connection.answer()
        assert answer.status == 401
    assert wire.stored() == before
    with wire.connect() as connection:
        for number in range(2):
            connection.send(wire.chunked(ONE) + end % b"Idempotency-Key: same\r\nX-Request-ID: mine\r\nHost: y")
            answer = connection.answer()
            assert answer.status == 202, number
            assert answer.header("x-request-id") != "mine"
    assert wire.stored() == before + 2


@pytest.mark.parametrize(
    "more", [b"a: b\r\n" * 1000, b"v" * 6000, b"1;e=%b" % (b"x" * 6000)], ids=["many", "one", "an extension of a chunk"]
)
def test_trailers_without_end_are_cut(wire: WireGateway, more: bytes) -> None:
    """And nothing of the request is stored, though its body was there."""
    before = wire.stored()
    with wire.counting("trailers_too_large"), wire.connect() as connection:
        connection.send(wire.chunked(ONE) + (b"" if more[:1] == b"1" else b"0\r\na: "))
        connection.send(more * 6)
        answer = connection.answer()
        assert answer.status == 431
        assert connection.pour(more, most=20_000_000) < 8_000_000
    assert wire.stored() == before


@pytest.mark.parametrize(
    "rest",
    [
        b"garbage\r\n\r\n",
        b"\0",
        b"x",
        b"GET",
        b"GET / HTTP/9\r\n\r\n",
        b"\r\n",
        b"{}",
        b"POST /v1/predict HTTP/1.1\r\n\r\n",
    ],
)
def test_what_follows_a_request_changes_nothing_of_it(wire: WireGateway, rest: bytes) -> None:
    """Stored if and only if its caller was told so: 20 of 20, in one packet or in two."""
    before = wire.stored()
    for number in range(20):
        with wire.connect() as connection:
            request = wire.post(ONE, "X-Request-ID: mine")
            for piece in (request + rest,) if number % 2 else (request, rest):
                connection.send(piece)
            first = connection.answer()
            assert (first.status, first.header("x-request-id")) == (202, "mine")
    assert wire.stored() == before + 20


def test_a_request_whose_body_breaks_off_in_rubbish_is_not_stored(wire: WireGateway) -> None:
    """It is told so, whatever of it was there before."""
    before = wire.stored()
    for broken in (b"zz\r\n", b"5\r\n1234567\r\n", b"-1\r\n", b"0\r\nno colon\r\n\r\n", b"ffffffffffffffffff\r\n"):
        with wire.connect() as connection:
            answer = connection.send(wire.chunked(ONE[:7], ONE[7:]) + broken).answer()
            assert answer.status == 400, broken
            assert answer.problem["type"] == "/problems/malformed-request"
            assert connection.ends()
    assert wire.stored() == before


def test_many_requests_in_one_packet_have_their_answers_in_order(wire: WireGateway) -> None:
    """3,000 of them, two thirds without a body, one third in chunks, with the ids that they were given."""
    requests = []
    for number in range(1000):
        requests.append(wire.get("/health/live", f"X-Request-ID: a{number}"))
        requests.append(wire.chunked(b'{"client\r\n\r\n', b"_id", headers=(f"X-Request-ID: b{number}",)) + b"0\r\n\r\n")
        requests.append(wire.get("/nothing", f"X-Request-ID: c{number}"))
    with wire.connect() as connection:
        sender = threading.Thread(target=connection.send, args=(b"".join(requests),))
        sender.start()
        seen = []
        for _ in requests:
            answer = connection.answer()
            seen.append((answer.status, answer.header("x-request-id")))
        sender.join()
    assert seen == [each for n in range(1000) for each in ((200, f"a{n}"), (400, f"b{n}"), (404, f"c{n}"))]


def test_a_body_stays_with_an_upgrade_that_is_not_made(wire: WireGateway) -> None:
    """Java's client offers HTTP/2 with its first call; what it posts is not lost, nor taken for the next request."""
    with wire.connect() as connection:
        for protocol in ("h2c", "websocket"):
            upgrade = (f"Upgrade: {protocol}", "Connection: Upgrade, HTTP2-Settings")
            answer = connection.send(wire.post(ONE, *upgrade)).answer()
            assert answer.status == 202
        answer = connection.send(wire.get()).answer()
        assert answer.status == 200


def test_a_caller_who_asks_first_is_told_to_go_on(wire: WireGateway) -> None:
    """`Expect: 100-continue`; and where she is refused the connection ends, for her body may come or not."""
    with wire.connect() as connection:
        connection.send(wire.post(b"", "Expect: 100-continue", length=len(ONE)))
        assert connection.answer().status == 100
        assert connection.send(ONE).answer().status == 202
        refused = wire.post(b"", "Expect: 100-continue", length=5).replace(wire.key.encode(), b"Bearer pq_wrong")
        answer = connection.send(refused).answer()
        assert answer.status == 401
        assert answer.header("connection") == "close"
        assert connection.ends()


def test_http_1_0_is_answered_without_chunks(wire: WireGateway) -> None:
    """And its connection ends with the answer."""
    with wire.connect() as connection:
        answer = connection.send(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").answer()
        assert answer.status == 200
        assert answer.header("transfer-encoding") is None
        assert connection.ends()


def test_head_of_a_refused_request_has_no_body(wire: WireGateway) -> None:
    """What stands behind an answer to HEAD would be taken for the next one."""
    with wire.connect() as connection:
        connection.send(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n")
        head = connection.socket.recv(65536)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert head.endswith(b"\r\n\r\n")
        assert connection.seconds_until_closed() < 20
