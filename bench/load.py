"""An HTTP load generator that costs little: ready-made requests over kept-alive connections, no client library.

It runs on the same cores as what it measures, so what it saves is not on the bill of the service.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)

Keep = Callable[[bytes], Any]


@dataclass(slots=True)
class Load:
    """What a run sent and got: `numbers`, `latencies` (seconds) and `kept` have one entry per answer, in order."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    numbers: list[int] = field(default_factory=list)  # which request, by its place in the sequence
    latencies: list[float] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies, share) * 1000)


def post(path: str, body: bytes, *, port: int, key: str = "", prefer: str = "") -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = [f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json"]
    head += [f"authorization: Bearer {key}"] * bool(key) + [f"prefer: {prefer}"] * bool(prefer)
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


def get(path: str, *, port: int, key: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n\r\n".encode()


class _Connection(asyncio.Protocol):
    """One kept-alive connection with at most one open request."""

    def __init__(self, answered: Callable[[_Connection, bytes], None]) -> None:
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.started = 0.0
        self.number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # it is a stream

    def send(self, number: int, request: bytes, started: float) -> None:
        """Send a request whose waiting time counts from `started`."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the server closed a connection that was in use")
        self.number, self.started = number, started
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is complete; all servers here send a Content-Length."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        end = data.find(b"\r\n\r\n")
        if end >= 0 and (length := _LENGTH.search(data, 0, end + 2)) and len(data) >= end + 4 + int(length[1]):
            self._answered(self, data)
        else:
            self._buffer = data

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def closed_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    most: int | None = None,
    keep: Keep | None = None,
) -> Load:
    """`connections` callers, each sending its next request when it has its answer, for `seconds` or `most` requests.

    `keep` makes of an answer's bytes what is kept of it.
    """
    return run(closed(port, requests, connections=connections, seconds=seconds, most=most, keep=keep))


def run(coroutine: Coroutine[Any, Any, Load]) -> Load:
    """Run a load on uvloop, without pauses of the garbage collector: all it makes is kept to the end."""
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(coroutine)
    finally:
        gc.enable()


async def closed(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    most: int | None = None,
    keep: Keep | None = None,
) -> Load:
    """See `closed_loop`."""
    load = Load()
    finished = asyncio.Event()
    began = time.perf_counter()
    deadline = began + seconds
    count, sent, open_requests = len(requests), 0, 0
    most = sys.maxsize if most is None else most

    def send_next(connection: _Connection, now: float) -> None:
        nonlocal sent, open_requests
        number = sent % count
        sent += 1
        open_requests += 1
        connection.send(number, requests[number], now)

    def answered(connection: _Connection, data: bytes) -> None:
        nonlocal open_requests
        now = time.perf_counter()
        _record(load, connection, data, now, keep)
        open_requests -= 1
        if now < deadline and sent < most:
            send_next(connection, now)
        elif open_requests == 0:
            load.seconds = now - began
            finished.set()

    pool = await _connect(port, connections, answered)
    for connection in pool[:most]:
        send_next(connection, time.perf_counter())
    await asyncio.wait_for(finished.wait(), seconds + 60)
    _hang_up(pool)
    return load


async def paced(
    port: int, requests: Sequence[bytes], *, rate: float, seconds: float, connections: int, keep: Keep | None = None
) -> Load:
    """`rate` requests per second whatever the answers do; each one's time counts from when it was due."""
    load = Load()
    due: deque[tuple[int, float]] = deque()
    free: deque[_Connection] = deque()
    total = int(rate * seconds)
    finished = asyncio.Event()

    def answered(connection: _Connection, data: bytes) -> None:
        _record(load, connection, data, time.perf_counter(), keep)
        free.append(connection)
        dispatch()
        if len(load.latencies) == total:
            finished.set()

    def dispatch() -> None:
        while due and free:
            number, at = due.popleft()
            free.popleft().send(number, requests[number % len(requests)], at)

    pool = await _connect(port, connections, answered)
    free.extend(pool)
    began = time.perf_counter()
    for number in range(total):
        at = began + number / rate
        if (pause := at - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        due.append((number % len(requests), at))
        dispatch()
    await asyncio.wait_for(finished.wait(), 60)
    load.seconds = time.perf_counter() - began
    _hang_up(pool)
    return load


async def _connect(port: int, count: int, answered: Callable[[_Connection, bytes], None]) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Connection(answered), "127.0.0.1", port) for _ in range(count)]
    return [protocol for _, protocol in made]


def _record(load: Load, connection: _Connection, data: bytes, now: float, keep: Keep | None) -> None:
    load.latencies.append(now - connection.started)
    load.statuses[int(data[9:12])] += 1
    load.numbers.append(connection.number)
    if keep is not None:
        load.kept.append(keep(data))


def _hang_up(pool: Sequence[_Connection]) -> None:
    for connection in pool:
        connection.close()
