"""The transport's side of a connection: coming in, writing, and the ways to end."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from api.server.wire.connections import Connections
from api.server.wire.proxies import UNIX, read_address
from api.server.wire.reasons import Reason
from api.server.wire.refusals import Refusal, answer_to
from api.server.wire.status_lines import StatusLines

if TYPE_CHECKING:
    from uvicorn.server import ServerState

LINGER_SECONDS = 2.0  # for which the rest of a refused request is read, so that its answer is not lost


class Link(asyncio.BufferedProtocol):
    """A connection that can be written to and ended. What is read is the matter of whoever extends it."""

    def __init__(self, connections: Connections, server_state: ServerState, status_lines: StatusLines) -> None:
        """Nothing is open yet. `server_state` is what uvicorn's server watches when it ends."""
        self.connections = connections
        self.settings = connections.settings
        self.server_state = server_state
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self.client = (UNIX, 0)
        self.is_trusted = False  # whether the peer is a proxy that names its callers
        self.is_spare = False  # whether it is one of those that are kept back for /health
        self.is_ending = False
        self.is_full = False  # whether more was written than the caller has taken
        self.due = math.inf  # when to end it, by the loop's clock, unless something else comes first
        self._status_lines = status_lines
        self._writable: asyncio.Event | None = None
        self._is_paused = False
        self._left_to_discard = 0
        self._unsent = -1
        self._unread_since = 0.0

    def enter(self, transport: asyncio.BaseTransport, *, can_answer: bool) -> bool:
        """Whether there is room for it. If not, it is closed, with an answer where one can be given."""
        self.transport = transport  # type: ignore[assignment]  # it is a stream
        peer = transport.get_extra_info("peername")
        host, port = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) and peer else (UNIX, 0)
        self.client = (str(read_address(host) or host), port)
        reason = self.connections.enter(self, self.client[0])
        if reason is None:
            self.server_state.connections.add(self)  # type: ignore[arg-type]  # ours are like its own
            self.is_spare = self.connections.is_full
            self.is_trusted = self.connections.trusted.trusts(self.client[0])
            return True
        self.connections.refusals[reason] += 1
        self.is_ending = True
        if can_answer:
            self.say(Refusal(reason, "Close some, or come again when others have closed theirs."))
        self.transport.close()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """The caller is gone, or was shown out."""
        self.is_ending = True
        self.connections.leave(self, self.client[0])
        self.server_state.connections.discard(self)
        if self._writable is not None:
            self._writable.set()

    def get_buffer(self, _: int) -> bytearray:
        """Where to put the next bytes."""
        return self.connections.buffer

    def eof_received(self) -> None:
        """Nothing more will come. A caller who closes looks the same, so the connection ends."""

    def pause_writing(self) -> None:
        """Answers wait until the caller has taken some of what was written."""
        self.is_full = True
        self._unsent = -1
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """And go on."""
        self.is_full = False
        if self._writable is not None:
            self._writable.set()

    async def writable(self) -> None:
        """Wait until the caller has taken enough, or is gone."""
        if self._writable is not None:
            await self._writable.wait()

    def status_line(self, status: int) -> bytes:
        """How an answer begins."""
        return self._status_lines.line(status)

    def write(self, data: bytes) -> None:
        """Send."""
        self.transport.write(data)

    def say(self, refusal: Refusal, *, path: str = "/", has_body: bool = True) -> None:
        """Send the answer that is due to what is refused."""
        response = answer_to(refusal, path)
        head = b"".join([b"%b: %b\r\n" % header for header in response.raw_headers])
        body = bytes(response.body) if has_body else b""
        self.write(b"%b%b\r\n%b" % (self.status_line(response.status_code), head, body))

    def pause_reading(self) -> None:
        """Take nothing more for now."""
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def go_on_reading(self) -> None:
        """Take more."""
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()

    def discard(self, size: int) -> None:
        """Throw away what comes after an answer; the connection is closed where that is too much."""
        self._left_to_discard -= size
        if self._left_to_discard < 0 and not self.transport.is_closing():
            self.connections.refusals[Reason.BODY_CUT] += 1
            self.end()

    def linger(self) -> None:
        """End, but take some more: to a caller who is still sending an answer would be lost by closing at once."""
        self.is_ending = True
        self._left_to_discard = self.settings.refused_body_bytes
        self.due = self.connections.now + LINGER_SECONDS
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.go_on_reading()

    def end(self) -> None:
        """Close once all is sent."""
        self.is_ending = True
        self.due = self.connections.now + LINGER_SECONDS
        self.transport.close()

    def abort(self) -> None:
        """End in the middle of an answer."""
        self.is_ending = True
        self.transport.abort()

    def excuse(self, seconds: float) -> None:
        """Leave out some time of all that is measured: it was not the caller's."""
        self.due += seconds
        self._unread_since += seconds

    def look(self, now: float, elapsed: float) -> None:
        """See whether this connection has had its time; called about once a second."""
        if (self.is_full or self.is_ending) and self._is_unread(now):
            self.connections.refusals[Reason.UNREAD] += 1
            self.abort()
        elif self.is_ending:
            if now >= self.due and not self.transport.get_write_buffer_size():
                self.transport.abort()
        else:
            self.look_at_request(now, elapsed)

    def look_at_request(self, now: float, elapsed: float) -> None:
        """The same, for what is read."""
        raise NotImplementedError

    def _is_unread(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._unread_since = unsent, now
        return now - self._unread_since >= self.settings.unread_seconds
