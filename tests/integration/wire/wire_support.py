"""Raw sockets against a real gateway: what a browser or a client library would never send."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from tests.integration.gateway.api_support import Gateway
from tests.support import wait_until

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: chunked", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; None where it is not there."""
        found = re.search(rf"\r\n{name}: ([^\r]*)".encode(), self.head, re.IGNORECASE)
        return found[1].decode() if found else None

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document."""
        assert self.header("content-type") == "application/problem+json", self
        assert self.header("x-request-id")
        assert self.header("x-content-type-options") == "nosniff"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        return document


class Wire:
    """One connection to a gateway."""

    def __init__(self, gateway: Gateway, *, source: str = "127.0.0.1", receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.bind((source, 0))
        self.socket.settimeout(30)
        self.socket.connect((gateway.base_url.host, gateway.base_url.port))
        self.sent = 0
        self._came = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Wire:
        """All of it; it is no error that the other side has closed meanwhile."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)
            self.sent += len(data)
        return self

    def pour(self, data: bytes, *, most: int) -> int:
        """Send it again and again until the other side has closed, or so many bytes are sent; returns how many."""
        with contextlib.suppress(ConnectionError):
            while self.sent < most:
                self.sent += self.socket.send(data)
        return self.sent

    def answer(self) -> Answer:
        """The next answer."""
        answer = self._next()
        assert answer is not None, "the connection has ended"
        return answer

    def ends(self) -> bool:
        """Whether the other side closes without another answer."""
        return self._next() is None

    def _next(self) -> Answer | None:
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        if _CHUNKED.search(head):
            body = b""
            while (size := int((self._until(b"\r\n") or b"0").strip() or b"0", 16)) > 0:
                body += self._exactly(size)
                self._exactly(2)
            self._exactly(2)
        else:
            length = _LENGTH.search(head)
            body = self._exactly(int(length[1])) if length else b""
        return Answer(int(head[9:12]), head, body)

    def answers(self) -> list[Answer]:
        """All answers until the connection ends."""
        found = []
        while (answer := self._next()) is not None:
            found.append(answer)
        return found

    def seconds_until_closed(self) -> float:
        """How long until the other side closes; what comes before that is read."""
        began = time.monotonic()
        while self._receive():
            pass
        return time.monotonic() - began

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._came:
            if not self._receive():
                assert self._came == b"", f"half an answer: {self._came!r}"
                return None
        head, _, self._came = self._came.partition(end)
        return head + end

    def _exactly(self, size: int) -> bytes:
        while len(self._came) < size:
            assert self._receive(), f"half an answer: {self._came!r}"
        data, self._came = self._came[:size], self._came[size:]
        return data

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._came += data
        return bool(data)


class WireGateway:
    """A gateway with a key for it, and what it has stored."""

    def __init__(self, gateway: Gateway, engine: Engine) -> None:
        self.gateway = gateway
        self.key: str = gateway.headers["authorization"]
        self._engine = engine

    def connect(self, **options: Any) -> Wire:
        """A new connection."""
        return Wire(self.gateway, **options)

    def ask(self, *pieces: bytes) -> list[Answer]:
        """Send the pieces over one connection; returns every answer that comes before it ends."""
        with self.connect() as wire:
            for piece in pieces:
                wire.send(piece)
            return wire.answers()

    def get(self, path: str = "/health/live", *headers: str, host: str = "x") -> bytes:
        """A GET; the connection is kept alive."""
        return self._head(f"GET {path} HTTP/1.1", f"Host: {host}", *headers)

    def post(self, body: bytes, *headers: str, path: str = "/v1/predict", length: int | None = None) -> bytes:
        """A POST with the key."""
        size = len(body) if length is None else length
        own = (f"Host: x\r\nAuthorization: {self.key}", "Content-Type: application/json", f"Content-Length: {size}")
        return self._head(f"POST {path} HTTP/1.1", *own, *headers) + body

    def chunked(
        self, *chunks: bytes, headers: tuple[str, ...] = (), path: str = "/v1/predict", key: bool = True
    ) -> bytes:
        """The beginning of a POST in chunks: what ends it is still to be sent."""
        own = (f"Authorization: {self.key}",) if key else ()
        head = self._head(
            f"POST {path} HTTP/1.1",
            "Host: x",
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
            *own,
            *headers,
        )
        return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)

    @staticmethod
    def _head(*lines: str) -> bytes:
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def stored(self) -> int:
        """How many jobs there are."""
        with self._engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM predictq.jobs")).scalar_one())

    def metrics(self) -> str:
        """The page of the metrics, over a connection of its own."""
        return self.ask(self.get("/metrics", f"Authorization: {self.key}", "Connection: close"))[0].body.decode()

    def refused(self, reason: str) -> int:
        """What the metrics say of a reason."""
        page = self.metrics()
        found = re.search(rf'^predictq_wire_refusals_total{{reason="{reason}"}} (\d+)', page, re.MULTILINE)
        assert found, reason
        return int(found[1])

    @contextlib.contextmanager
    def counting(self, reason: str, times: int = 1) -> Iterator[None]:
        """A block in which just so many are refused for that reason."""
        before = self.refused(reason)
        yield
        wait_until(lambda: self.refused(reason) - before >= times, what=f"{times} refused: {reason}")
        assert self.refused(reason) - before == times
