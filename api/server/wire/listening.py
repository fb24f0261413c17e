"""What the server makes for each connection that comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from api.server.wire.connection import Connection
from api.server.wire.connections import Connections
from api.server.wire.reasons import Reason
from api.server.wire.status_lines import StatusLines
from api.server.wire.tls import Certificate

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

_GOODBYE_SECONDS = 2.0  # for a caller to close TLS


def protocol_maker(connections: Connections, certificate: Certificate | None) -> Callable[..., Connection]:
    """What uvicorn's server calls for each connection."""
    lines: list[StatusLines] = []

    def make(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        if not lines:
            lines.append(StatusLines(server_state))
        if certificate is None:
            return Connection(connections, config.loaded_app, server_state, app_state, lines[0])
        return TlsConnection(connections, config.loaded_app, server_state, app_state, lines[0], certificate)

    return make


class TlsConnection(Connection):
    """A connection that is counted when it comes in, before anybody has shaken hands."""

    def __init__(
        self,
        connections: Connections,
        app: Any,
        server_state: ServerState,
        app_state: dict[str, Any],
        status_lines: StatusLines,
        certificate: Certificate,
    ) -> None:
        """As a connection without TLS."""
        super().__init__(connections, app, server_state, app_state, status_lines)
        self._certificate = certificate
        self._is_secure = False
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in and begin the handshake; nobody is told why there is no room."""
        if self.enter(transport, can_answer=False):
            self._handshake = self._loop.create_task(self._shake_hands())

    def buffer_updated(self, size: int) -> None:
        """The first bytes may come before the handshake is known here to be over."""
        if self._is_secure:
            super().buffer_updated(size)
        else:
            self._rest += bytes(self._view[:size])

    async def _shake_hands(self) -> None:
        plain = self.transport
        plain.pause_reading()
        early, self._rest = self._rest, b""
        try:
            starting = self._loop.create_task(self._start_tls(plain))
            await asyncio.sleep(0)  # now the transport has TLS as its protocol, and that is about to be connected
            self._loop.call_soon(self._hand_over, early, plain)
            secure = await starting
        except (OSError, RuntimeError, asyncio.CancelledError):
            secure = None
        if secure is None:
            self.connections.refusals[Reason.NO_TLS] += 1
            plain.abort()
            self.connection_lost(None)
            return
        self.transport = secure
        self._is_secure = True
        self.begin("https")
        self._take_rest()

    async def _start_tls(self, plain: asyncio.Transport) -> asyncio.Transport | None:
        return await self._loop.start_tls(
            plain,
            self,
            self._certificate.context(),
            server_side=True,
            ssl_handshake_timeout=self.settings.head_seconds,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )

    def _hand_over(self, early: bytes, plain: asyncio.Transport) -> None:
        """Give TLS the bytes that came before it: uvloop begins to read at once, and cannot be kept from it."""
        protocol: Any = plain.get_protocol()
        while early and protocol is not self and not plain.is_closing():
            buffer = protocol.get_buffer(len(early))
            size = min(len(early), len(buffer))
            buffer[:size] = early[:size]
            protocol.buffer_updated(size)
            early = early[size:]
