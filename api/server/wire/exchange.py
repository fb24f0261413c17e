"""One call and its answer: the two functions of ASGI on one side, bytes on the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message

from api.server.wire.reasons import Reason
from shared.logging import get_logger

if TYPE_CHECKING:
    from api.server.wire.connection import Connection

log = get_logger(__name__)

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_CLOSE = b"connection: close\r\n"
_WATCHED = ("/health", "/health/ready", "/metrics", "/openapi.json")
_GONE: Message = {"type": "http.disconnect"}
_WITHOUT_BODY = (204, 304)
_BROKEN: list[Message] = [
    {
        "type": "http.response.start",
        "status": 500,
        "headers": [(b"content-type", b"text/plain"), (b"content-length", b"21"), (b"connection", b"close")],
    },
    {"type": "http.response.body", "body": b"Internal Server Error"},
]


class Exchange:
    """What the application reads a request from and answers it through. `connection` is told when it is answered."""

    def __init__(self, connection: Connection, scope: dict[str, Any], *, keeps_alive: bool, expects: bool) -> None:
        self._connection = connection
        self._scope = scope
        self._event: asyncio.Event | None = None
        self._has_told_end = False
        self._head = b""  # held back until its body comes, so that both leave in one write
        self._body_left = 0  # bytes of the answer's body; -1 where its length was not told
        self._chunks = False
        self.body = bytearray()  # of the request, as far as nobody has read it
        self.more_body = True
        self.waits = False  # whether the application waits for the caller
        self.keeps_alive = keeps_alive
        self.expects_continue = expects
        self.started = False
        self.paced: Reason | None = None  # why there may be so many of these calls in a second
        self.is_answered = False
        self.is_gone = False  # whether nobody waits for the answer any more

    @property
    def path(self) -> str:
        """What is asked for."""
        path: str = self._scope["path"]
        return path

    async def run(self, app: ASGIApp) -> None:
        """Have the application answer; whatever it does, the connection comes to an end of this call."""
        if self.is_gone:
            return
        try:
            await app(self._scope, self.receive, self.send)
            if self.is_answered or self.is_gone:
                return
            log.error("answer_incomplete", path=self.path)
        except Exception as error:
            log.exception("answer_failed", path=self.path, exc_info=error)
        except asyncio.CancelledError:
            self._connection.abort()
            raise
        await self._break_off()

    def wake(self) -> None:
        """Something has come that `receive` may wait for."""
        if self._event is not None:
            self._event.set()

    def leave(self) -> None:
        """Nobody waits for the answer any more."""
        if not self.is_answered:
            self.is_gone = True
        self.wake()

    async def receive(self) -> Message:
        """The next piece of the body; once all have been given, whatever ends the call."""
        if self.expects_continue:
            self.expects_continue = False
            self._connection.write(_CONTINUE)
        while not (self.is_gone or self.is_answered):
            if self.body or not (self.more_body or self._has_told_end):
                self._has_told_end = not self.more_body
                piece, self.body = bytes(self.body), bytearray()
                self._connection.resume_reading()
                return {"type": "http.request", "body": piece, "more_body": self.more_body}
            self._connection.resume_reading()
            if self._event is None:
                self._event = asyncio.Event()
            self._event.clear()
            self.waits = True
            await self._event.wait()
            self.waits = False
        return _GONE

    async def send(self, message: Message) -> None:
        """Take the next message of the answer."""
        if self._connection.is_full and not self.is_gone:
            await self._connection.writable()
        if self.is_gone:
            return
        if self.is_answered:
            raise RuntimeError("the answer was complete")
        if self.started:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._start(message["status"], message["headers"])

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        lines = _lines(headers)
        fields = dict(headers)
        length = fields.get(b"content-length")
        has_body = self._scope["method"] != "HEAD" and status not in _WITHOUT_BODY
        if length is None and has_body:
            self._chunks = self._scope["http_version"] == "1.1"
            self.keeps_alive = self.keeps_alive and self._chunks
            lines += _CHUNKED if self._chunks else b""
        if b"connection" in fields:
            self.keeps_alive = False  # nothing else is ever said by it
        elif not self.keeps_alive or (self.more_body and self._connection.would_cut(expects=self.expects_continue)):
            self.keeps_alive = False
            lines += _CLOSE
        head = b"".join((self._connection.status_line(status), lines, b"\r\n"))
        self.started = True
        if 400 <= status < 500:
            self.paced = Reason.REFUSED_OFTEN
        elif _needs_no_key(self.path):
            self.paced = Reason.WATCHED_OFTEN
        self.expects_continue = False
        if length is None or not has_body:
            self._body_left = -1 if has_body else 0
            self._connection.write(head)  # its body may take its time, or there is none
        else:
            self._body_left = int(length)
            self._head = head

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self._body_left < 0:
            data = _framed(body, is_last=not more) if self._chunks else body
        else:
            data = self._counted(body, more=more)
        if data:
            self._connection.write(data)
        if not more:
            self.is_answered = True
            self.wake()
            self._connection.answered()

    def _counted(self, body: bytes, *, more: bool) -> bytes:
        """The next bytes of an answer whose length was told; those of a HEAD are left out."""
        if self._scope["method"] == "HEAD":
            return b""
        self._body_left -= len(body)
        if self._body_left < 0 or (self._body_left and not more):
            raise RuntimeError("the answer has not the length that it said")
        if self._head:
            body, self._head = self._head + body, b""
        return body

    async def _break_off(self) -> None:
        """The application has failed: 500 if nothing was said yet, else the connection ends in the middle."""
        if self.started:
            self._connection.abort()
        else:
            for message in _BROKEN:
                await self.send(message)


def _needs_no_key(path: str) -> bool:
    """What anybody may ask for, and takes more than a look; under a root path, too. Not whether the process is up."""
    return "/v1/" not in path and (path.endswith(_WATCHED) or "/docs/assets/" in path)


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are written. Raises RuntimeError where one would be two."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers) or b"\0" in lines:
        raise RuntimeError("a header of the answer holds the end of a line")
    return lines


def _framed(body: bytes, *, is_last: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n" if is_last else chunk
