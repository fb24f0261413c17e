"""Bytes that are no calls: heads, bodies and connections that take what others need, and requests with two meanings."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.hostile.attack import Run, attack
from tests.hostile.attacker import Attacker

_KIND = "at the wire"
_ONE = b'{"client_id": 1}'
_GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


def _again(attacker: Attacker, make: Callable[[socket.socket], None]) -> None:
    """Do the same over connections of four threads until time is over."""

    def run() -> None:
        while attacker.goes_on:
            connection = attacker.connect()
            make(connection)
            attacker.close(connection)

    attacker.in_threads(4, run)


def _pouring(begin: bytes, more: bytes, *expected: int) -> Run:
    """An attack that sends without end and expects to be stopped."""

    def run(attacker: Attacker) -> None:
        def pour(connection: socket.socket) -> None:
            attacker.send(connection, begin + more * (1 + 40_000 // len(more)))
            answer = attacker.answer(connection)
            attacker.expect(answer.status in (*expected, 0), f"answered {answer.status} in place of {expected}")
            while attacker.goes_on and attacker.send(connection, more * 100):
                pass

        _again(attacker, pour)

    return run


def _refused(request: bytes, *statuses: int) -> Run:
    """An attack by one request that is refused, again and again."""

    def run(attacker: Attacker) -> None:
        def ask(connection: socket.socket) -> None:
            attacker.send(connection, request.replace(b"KEY", b"Bearer " + attacker.target.key.encode()))
            answer = attacker.answer(connection)
            attacker.expect(answer.status in (*statuses, 0), f"answered {answer.status} in place of {statuses[0]}")

        _again(attacker, ask)

    return run


def _crowd(begin: bytes, count: int = 400) -> Run:
    """An attack by connections that begin something and leave it at that."""

    def run(attacker: Attacker) -> None:
        for _ in range(count):
            attacker.send(attacker.connect(), begin.replace(b"KEY", b"Bearer " + attacker.target.key.encode()))

    return run


_CHUNKED = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
_POST = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nAuthorization: KEY\r\nContent-Type: application/json\r\n"
_EXPECTING = _POST + b"Expect: 100-continue\r\nContent-Length: 16\r\n\r\n"

_WITHOUT_END = {
    "headers_without_end": ("headers without end", _GET, b"a: b\r\n", 431),
    "a_value_without_end": ("a header's value without end", _GET + b"a: ", b"v" * 100, 431),
    "a_name_without_end": ("a header's name without end", _GET, b"n" * 100, 431),
    "a_path_without_end": ("a path without end", b"GET /", b"p" * 100, 414),
    "a_method_without_end": ("a method without end", b"G", b"E" * 100, 414),
    "trailers_without_end": ("trailers without end", _CHUNKED + b"\r\n0\r\n", b"a: b\r\n", 431),
    "an_extension_without_end": ("an extension of a chunk without end", _CHUNKED + b"\r\n1;", b"e" * 100, 431),
    "a_body_after_its_401": ("a body without end that had its 401", _CHUNKED + b"\r\n", b"1\r\nx\r\n", 401),
}
for _name, (_what, _begin, _more, _status) in _WITHOUT_END.items():
    _run = _pouring(_begin, _more, _status, 401)  # where nobody said who she is, either may come first
    _run.__name__ = _name
    attack(_KIND, _what, quick=_name in ("headers_without_end", "a_body_after_its_401"), at_once=True)(_run)

_TWO_MEANINGS = {
    "no_host": ("no Host header", b"GET /health/live HTTP/1.1\r\n\r\n", 400),
    "two_hosts": ("two Host headers", _GET + b"Host: y\r\n\r\n", 400),
    "another_host_in_the_line": ("another host in the request line", b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two_keys": ("two Authorization headers", _POST + b"Authorization: KEY\r\nContent-Length: 0\r\n\r\n", 400),
    "two_types": ("two Content-Type headers", _POST + b"Content-Type: text/csv\r\nContent-Length: 0\r\n\r\n", 400),
    "two_idempotency_keys": (
        "two Idempotency-Key headers",
        _POST + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 16\r\n\r\n" + _ONE,
        400,
    ),
    "two_lengths": ("two lengths of a body", _POST + b"Content-Length: 16\r\nContent-Length: 1\r\n\r\n" + _ONE, 400),
    "length_and_chunks": (
        "a length and chunks",
        _POST + b"Content-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "bare_line_feeds": ("lines without CR", _GET.replace(b"\r", b"") + b"\n", 400),
    "a_folded_header": ("a header over two lines", _GET + b"a: b\r\n c\r\n\r\n", 400),
    "nul_in_a_header": ("NUL in a header", _GET + b"a: \0\r\n\r\n", 400),
    "http_2": ("the beginning of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a_tls_hello": ("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "connect": ("CONNECT, as to a proxy", b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a_key_in_a_trailer": (
        "a key in a trailer",
        _CHUNKED + b"\r\n10\r\n" + _ONE + b"\r\n0\r\nAuthorization: KEY\r\n\r\n",
        401,
    ),
    "many_headers": ("a thousand headers", _GET + b"a: b\r\n" * 1000 + b"\r\n", 431),
}
for _name, (_what, _begin, _status) in _TWO_MEANINGS.items():
    _run = _refused(_begin, _status)
    _run.__name__ = _name
    attack(_KIND, _what, quick=_name in ("two_hosts", "a_key_in_a_trailer"))(_run)

_CROWDS = {
    "silence": ("400 connections that say nothing", b""),
    "half_heads": ("400 halves of a head", _GET),
    "half_bodies": ("400 halves of a body", _POST + b"Content-Length: 1000\r\n\r\n{"),
    "half_chunks": ("400 halves of a chunk", _POST + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n{"),
    "promised_bodies": (
        "400 bodies that wait for 100-continue",
        _POST + b"Expect: 100-continue\r\nContent-Length: 16\r\n\r\n",
    ),
}
for _name, (_what, _begin) in _CROWDS.items():
    _run = _crowd(_begin)
    _run.__name__ = _name
    attack(_KIND, _what, quick=_name == "half_bodies", at_once=_name == "half_heads")(_run)


@attack(_KIND, "2,000 connections of one address, one after the other", quick=True)
def more_connections_than_one_may_have(attacker: Attacker) -> None:
    for _ in range(2000):
        attacker.connect()


@attack(_KIND, "connections that come and go as quickly as they can", at_once=True)
def coming_and_going(attacker: Attacker) -> None:
    def come(_: socket.socket) -> None:
        """And go."""

    _again(attacker, come)


@attack(_KIND, "rubbish behind a request, in one packet", quick=True)
def rubbish_behind_a_request(attacker: Attacker) -> None:
    post = _POST.replace(b"KEY", b"Bearer " + attacker.target.key.encode()) + b"Content-Length: 16\r\n\r\n" + _ONE

    def ask(connection: socket.socket) -> None:
        attacker.send(connection, post + b"\0rubbish\r\n\r\n")
        status = attacker.answer(connection).status
        attacker.expect(status in (202, 429), f"a request before rubbish was answered {status}")

    _again(attacker, ask)


@attack(_KIND, "2,000 requests in one packet, whose answers nobody takes", at_once=True)
def answers_that_nobody_takes(attacker: Attacker) -> None:
    many = (_GET + b"\r\n") * 2000

    def pour(connection: socket.socket) -> None:
        connection.settimeout(0.5)
        while attacker.goes_on and attacker.send(connection, many):
            pass

    _again(attacker, pour)


@attack(_KIND, "a body in chunks of one byte", at_once=True)
def chunks_of_one_byte(attacker: Attacker) -> None:
    head = _POST.replace(b"KEY", b"Bearer " + attacker.target.key.encode()) + b"Transfer-Encoding: chunked\r\n\r\n"

    def ask(connection: socket.socket) -> None:
        attacker.send(connection, head + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n")
        attacker.expect(attacker.answer(connection).status in (400, 413, 0), "blanks are no JSON")

    _again(attacker, ask)


@attack(_KIND, "a body in chunks that hold nothing but ends of lines", at_once=True)
def chunks_of_line_ends(attacker: Attacker) -> None:
    head = _POST.replace(b"KEY", b"Bearer " + attacker.target.key.encode()) + b"Transfer-Encoding: chunked\r\n\r\n"

    def ask(connection: socket.socket) -> None:
        attacker.send(connection, head + (b"8000\r\n" + b"\r\n" * 0x4000 + b"\r\n") * 20 + b"0\r\n\r\n")
        attacker.expect(attacker.answer(connection).status in (400, 413, 0), "ends of lines are no JSON")

    _again(attacker, ask)
