"""A connection: bytes in, calls to the application, bytes out, and an end to whatever takes too much or too long.

The next request is looked at only when the last one has its answer: so nothing that follows a request changes what is
said of it, nor what becomes of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from api.server.wire.connections import READ_BYTES, Connections
from api.server.wire.exchange import Exchange
from api.server.wire.heads import set_target
from api.server.wire.link import Link
from api.server.wire.parsing import RequestParser
from api.server.wire.proxies import UNIX, origin_of, scheme
from api.server.wire.reasons import Reason
from api.server.wire.refusals import Refusal
from api.server.wire.status_lines import StatusLines

if TYPE_CHECKING:
    from uvicorn.server import ServerState

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_SPARE_SECONDS = 5.0  # for a head, where connections are scarce
_PIECES_AT_ONCE = 256  # of a body in chunks, before others have their turn


class Connection(Link):
    """What the event loop calls, uvicorn's server, and the exchange that is open."""

    def __init__(
        self,
        connections: Connections,
        app: ASGIApp,
        server_state: ServerState,
        app_state: dict[str, Any],
        status_lines: StatusLines,
    ) -> None:
        """Nothing is open yet. `app_state` is what the application's start has put into the state of calls."""
        super().__init__(connections, server_state, status_lines)
        self._app = app
        self._app_state = app_state
        self._view = connections.view
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(self.settings)
        self._exchange: Exchange | None = None
        self._rest = b""  # came, and cannot be read yet: half a head, or what follows an open request
        self._is_held = False  # whether the next request is read later, for too many were refused
        self._has_begun = False  # whether bytes of the next head have come
        self._has_served = False
        self._credit = 0.0  # seconds for which the open body may still pause
        self._scheme = "http"
        self._server: tuple[str, int | None] = (UNIX, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say that there are too many."""
        if self.enter(transport, can_answer=True):
            self.begin("http")

    def begin(self, scheme: str) -> None:
        """Wait for the first request."""
        name = self.transport.get_extra_info("sockname")
        self._server = (str(name[0]), int(name[1])) if isinstance(name, tuple) else (str(name or UNIX), None)
        self._scheme = scheme
        self.due = self.connections.now + (_SPARE_SECONDS if self.is_spare else self.settings.head_seconds)

    def connection_lost(self, why: Exception | None) -> None:
        """The caller is gone, or was shown out: an open exchange ends."""
        super().connection_lost(why)
        if self._exchange is not None:
            self._exchange.leave()

    def shutdown(self) -> None:
        """End after the answer that is under way; uvicorn's server calls it."""
        if self._exchange is None or self._exchange.is_answered:
            self.end()
        else:
            self._exchange.keeps_alive = False

    def buffer_updated(self, size: int) -> None:
        """Bytes are in the buffer."""
        data = bytes(self._view[:size])
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self._is_held:
            self._keep(data)
        else:
            self._take(data)

    def _keep(self, data: bytes) -> None:
        """Take no more than a little: whoever hangs up meanwhile is noticed, and leaves room for others."""
        self._rest = data
        if len(data) >= READ_BYTES:
            self.pause_reading()

    def _take(self, data: bytes) -> None:
        """Read requests as far as they go."""
        pieces = 0
        try:
            while data:
                if self.is_ending:
                    self.discard(len(data))
                    return
                exchange = self._exchange
                if exchange is None:
                    data = self._read_head(data)
                elif not exchange.more_body:
                    self._rest = data
                    self.pause_reading()
                    return
                elif pieces < _PIECES_AT_ONCE:
                    pieces += 1
                    data = self._read_body(exchange, data)
                else:
                    self._rest = data
                    self.pause_reading()
                    self._loop.call_soon(self._take_rest)
                    return
        except Refusal as refusal:
            self._refuse(refusal)

    def _take_rest(self) -> None:
        if self.is_ending:
            return
        data, self._rest = self._rest, b""
        self.resume_reading()
        self._take(data)

    def _read_head(self, data: bytes) -> bytes:
        if data[0] in b"\r\n":  # one empty line before a request is overlooked, as HTTP asks for
            self._begin_head()
            data = data.lstrip(b"\r\n")
            if not data:
                return b""
        rest = self._parser.read_head(data)
        if rest is None:
            self._rest = data
            self._begin_head()
            return b""
        self._begin_exchange()
        return rest

    def _begin_head(self) -> None:
        """The time of a head runs from its first byte, or from the connection's beginning."""
        if not self._has_begun:
            self._has_begun = True
            if self._has_served:
                self.due = self.connections.now + self.settings.head_seconds

    def _begin_exchange(self) -> None:
        parser = self._parser
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": parser.version,
            "server": self._server,
            "client": self.client,
            "scheme": self._scheme,
            "method": parser.method,
            "root_path": "",
            "headers": parser.headers,
            "state": self._app_state.copy(),
        }
        set_target(scope, parser.url, parser.fields.get(b"host"))
        if self.is_trusted:
            self._believe(scope)
        if self.is_spare and scope["path"] not in self.connections.health_paths:
            raise Refusal(Reason.GATEWAY_FULL, "Come again when others have closed theirs.")
        expects = parser.fields.get(b"expect", b"").lower() == b"100-continue"
        keeps_alive = parser.keeps_alive and parser.version == "1.1" and not self.is_spare
        exchange = self._exchange = Exchange(self, scope, keeps_alive=keeps_alive, expects=expects)
        exchange.more_body = not parser.is_complete
        self._credit = self.settings.body_pause_seconds
        self._has_served = True
        task = self._loop.create_task(exchange.run(self._app))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def _believe(self, scope: dict[str, Any]) -> None:
        """Name the caller that a proxy of ours names."""
        host, port = self.client
        caller = self.connections.trusted.caller(host, scope["headers"])
        scope["client"] = (caller, port if caller == host else 0)
        scope["scheme"] = scheme(scope["headers"], self._scheme)

    def _read_body(self, exchange: Exchange, data: bytes) -> bytes:
        body, rest = self._parser.read_body(data)
        if body:
            window = self.settings.body_pause_seconds
            self._credit = min(window, self._credit + len(body) / self.settings.body_bytes_per_second)
            if not exchange.is_answered:
                exchange.body += body
                exchange.wake()
                if len(exchange.body) >= READ_BYTES:
                    self.pause_reading()
        if self._parser.is_complete:
            exchange.more_body = False
            exchange.wake()
            if exchange.is_answered:
                self._wait_for_next()
        return rest

    def would_cut(self, *, expects: bool) -> bool:
        """Whether the rest of the open body is more than is read after an answer, or cannot be told from a request."""
        return expects or not 0 <= self._parser.left <= self.settings.refused_body_bytes

    def resume_reading(self) -> None:
        """Take more of the body, if it is that what was stopped."""
        if not self._rest:
            self.go_on_reading()

    def answered(self) -> None:
        """The answer is complete: on to the next request, or to the end."""
        self.server_state.total_requests += 1
        exchange = self._exchange
        if exchange is None or self.is_ending:
            return
        if not exchange.keeps_alive:
            if exchange.more_body or self._rest:
                self.linger()
            else:
                self.end()
        elif exchange.more_body:
            self.resume_reading()
        else:
            self._wait_for_next()
            if exchange.paced and not self.is_trusted:
                self._take_rest_in_turn(exchange.paced)
            else:
                self._take_rest()

    def _take_rest_in_turn(self, reason: Reason) -> None:
        seconds = self.connections.paces[reason].wait(origin_of(self.client[0]), self._loop.time())
        if seconds:
            self.connections.refusals[reason] += 1
            self._is_held = True
            self._loop.call_later(seconds, self._let_go)
        else:
            self._take_rest()

    def _let_go(self) -> None:
        self._is_held = False
        self._take_rest()

    def _wait_for_next(self) -> None:
        self._exchange = None
        self._has_begun = False
        self.due = self.connections.now + self.settings.idle_seconds

    def look_at_request(self, now: float, elapsed: float) -> None:
        """End what does not come, or too slowly."""
        if self._exchange is None:
            if now >= self.due:
                self._expire()
        elif self._exchange.more_body and (self._exchange.waits or self._exchange.is_answered):
            self._credit -= elapsed
            if self._credit <= 0:
                pause, rate = self.settings.body_pause_seconds, self.settings.body_bytes_per_second
                detail = f"A body must come at {rate} bytes/s, on average over {pause:g} s. Nothing was accepted."
                self._refuse(Refusal(Reason.SLOW_BODY, detail))

    def _expire(self) -> None:
        if self._has_begun:
            detail = f"The head of the request did not come within {self.settings.head_seconds:g} s."
            self._refuse(Refusal(Reason.SLOW_HEAD, detail))
        else:
            self.connections.refusals[Reason.IDLE if self._has_served else Reason.SILENT] += 1
            self.end()

    def _refuse(self, refusal: Refusal) -> None:
        """Count it, answer it where nothing was answered yet, and end."""
        self.connections.refusals[refusal.reason] += 1
        exchange = self._exchange
        if exchange is None:
            self.say(refusal, has_body=self._parser.method != "HEAD")
            self.linger()
        elif not exchange.started:
            exchange.leave()
            self.say(refusal, path=exchange.path)
            self.linger()
        elif exchange.is_answered:
            self.end()
        else:
            exchange.leave()
            self.abort()
