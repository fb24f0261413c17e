"""Heads and bodies of answers leave together, a head whose body takes its time leaves at once, and no header is two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.server.wire.exchange import Exchange

OK = [(b"content-length", b"2")]


class Wire:
    """Stands for a connection: keeps what was written, write by write."""

    is_full = False

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_aborted = self.is_answered = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.writes.append(data)

    def status_line(self, status: int) -> bytes:
        """The first line."""
        return b"HTTP/1.1 %d\r\n" % status

    def would_cut(self, *, expects: bool) -> bool:
        """Whether the body's rest is too long; here only where it was to be asked for."""
        return expects

    def resume_reading(self) -> None:
        """Nothing was stopped."""

    def answered(self) -> None:
        """Note it."""
        self.is_answered = True

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True


def run(app: Callable[..., Awaitable[None]], *, method: str = "GET", version: str = "1.1", **more: Any) -> Wire:
    """Have `app` answer one call without a body; returns the wire."""

    async def turn() -> Wire:
        wire = Wire()
        scope = {"method": method, "http_version": version, "path": "/"}
        exchange = Exchange(wire, scope, keeps_alive=True, expects=more.get("expects", False))  # type: ignore[arg-type]
        exchange.more_body = more.get("expects", False)
        await exchange.run(app)
        return wire

    return asyncio.run(turn())


def answering(headers: list[tuple[bytes, bytes]], *bodies: bytes, status: int = 200) -> Callable[..., Awaitable[None]]:
    """An application that answers just so."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, body in enumerate(bodies, start=1):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})

    return app


def test_a_head_and_its_body_are_one_write() -> None:
    """Each write is a system call and a packet."""
    assert run(answering(OK, b"ok")).writes == [b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"]


def test_a_head_whose_body_comes_in_pieces_goes_out_by_itself() -> None:
    """As those of long downloads do, whose first rows may take their time."""
    head = b"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n"
    assert run(answering([], b"abc", b"", b"d")).writes == [head, b"3\r\nabc\r\n", b"1\r\nd\r\n0\r\n\r\n"]


def test_an_answer_to_http_1_0_ends_with_its_connection() -> None:
    """It knows no chunks."""
    writes = run(answering([], b"abc"), version="1.0").writes
    assert b"".join(writes) == b"HTTP/1.1 200\r\nconnection: close\r\n\r\nabc"


@pytest.mark.parametrize("headers", [OK, []])
def test_head_has_no_body(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever the application sends as one."""
    answer = b"".join(run(answering(headers, b"ok"), method="HEAD").writes)
    assert answer.endswith(b"\r\n\r\n")
    assert b"chunked" not in answer


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x", b"a\nb", b"a\rb", b"a\0b"])
def test_no_header_is_two(value: bytes) -> None:
    """An answer with the end of a line in a header is a 500, and nothing of it is sent."""
    answer = b"".join(run(answering([*OK, (b"location", value)], b"ok")).writes)
    assert answer.startswith(b"HTTP/1.1 500\r\n")
    assert b"cookie" not in answer


@pytest.mark.parametrize("bodies", [(b"o",), (b"okay",), (b"o", b"kay")])
def test_an_answer_of_another_length_than_it_says_is_broken_off(bodies: tuple[bytes, ...]) -> None:
    """The rest would be taken for the next answer."""
    assert run(answering(OK, *bodies)).is_aborted


def test_an_application_that_fails_is_a_500() -> None:
    """Or the connection ends, where the answer had begun."""

    async def fails(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ValueError("a bug")

    async def says_nothing(_scope: Any, _receive: Any, _send: Any) -> None:
        return

    for app in (fails, says_nothing):
        assert b"".join(run(app).writes).startswith(b"HTTP/1.1 500\r\n")
    assert run(answering([])).is_aborted


def test_a_body_that_was_to_be_asked_for_ends_the_connection() -> None:
    """It may come or not: nobody could tell it from the next request."""
    assert b"connection: close\r\n" in run(answering(OK, b"ok"), expects=True).writes[0]
