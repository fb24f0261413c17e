"""What attacks are made of: sockets whose bytes are counted, calls that may be as wrong as they like, expectations."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PATIENCE_SECONDS = 20.0  # for an answer


@dataclass(frozen=True, slots=True)
class Target:
    """What an attack is aimed at, and for how long."""

    host: str
    port: int
    key: str  # the attacker's own, a plain one
    redis_url: str
    database_url: str
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the run has prepared: a neighbour's job, revoked keys

    def to_json(self) -> str:
        """For the attack's process."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; status 0 where the connection ended without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The code of the problem; empty where it is none."""
        content = self.json()
        kind = content.get("type", "") if isinstance(content, dict) else ""
        return str(kind).removeprefix("/problems/")


class Attacker:
    """One hostile caller. Its threads may share it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.end = time.monotonic() + target.seconds
        self.bytes_sent = 0  # that the other side has taken
        self.answers: Counter[int] = Counter()  # by status
        self.complaints: list[str] = []
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.end

    def expect(self, holds: object, words: str) -> None:
        """Note what must hold and does not."""
        if not holds and words not in self.complaints and len(self.complaints) < 20:
            self.complaints.append(words)

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """A connection, kept until the attack is over."""
        made = socket.socket()
        made.settimeout(PATIENCE_SECONDS)
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.connect((self.target.host, self.target.port))
        with self._lock:
            self._sockets.append(made)
        return made

    def send(self, to: socket.socket, data: bytes) -> bool:
        """Send all; whether the other side took it."""
        view = memoryview(data)
        try:
            while view:
                sent = to.send(view[:65536])
                self.bytes_sent += sent
                view = view[sent:]
        except OSError:
            return False
        return True

    def head(self, method: str, path: str, headers: Mapping[str, str] | None = None, *, key: str | None = "") -> bytes:
        """A request's head. `key`: an empty text is the attacker's own, None is none."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.target.host}"]
        if key is not None:
            lines.append(f"Authorization: Bearer {key or self.target.key}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = "",
        over: socket.socket | None = None,
    ) -> Answer:
        """One whole call. `over` is a connection that stays open; without one a new one is made and closed."""
        more = dict(headers or {})
        if body is not None:
            more = {"Content-Type": "application/json", **more, "Content-Length": str(len(body))}
        to = over or self.connect()
        try:
            is_taken = self.send(to, self.head(method, path, more, key=key) + (body or b""))
            return self.answer(to, has_body=method != "HEAD") if is_taken else self.answer(to)
        finally:
            if over is None:
                self.close(to)

    def answer(self, from_: socket.socket, *, has_body: bool = True) -> Answer:
        """Read one answer."""
        try:
            answer = _read(from_, has_body=has_body)
        except OSError:
            answer = Answer(0, {}, b"")
        with self._lock:
            self.answers[answer.status] += 1
        return answer

    def close(self, open_: socket.socket) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            open_.close()
        with self._lock, contextlib.suppress(ValueError):
            self._sockets.remove(open_)

    def in_threads(self, count: int, work: Callable[[], None]) -> None:
        """Do the same `count` times at once."""
        threads = [threading.Thread(target=self._guarded, args=(work,)) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError:
            with self._lock:
                self.answers[0] += 1

    @contextlib.contextmanager
    def hanging_up(self) -> Iterator[None]:
        """Close at the end whatever is open."""
        try:
            yield
        finally:
            for open_ in list(self._sockets):
                self.close(open_)


def _read(from_: socket.socket, *, has_body: bool) -> Answer:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _piece(from_)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    if status < 200:
        return _read(from_, has_body=has_body)
    if not has_body or status in (204, 304):
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += _piece(from_)
        return Answer(status, headers, body)
    length = int(headers.get("content-length", "0"))
    parts, size = [body], len(body)
    while size < length:
        parts.append(_piece(from_))
        size += len(parts[-1])
    return Answer(status, headers, b"".join(parts))


def _piece(from_: socket.socket) -> bytes:
    piece = from_.recv(65536)
    if not piece:
        raise ConnectionError("hung up")
    return piece
