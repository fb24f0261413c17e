"""Answers that leave in one write: uvicorn writes head and body apart, and each write is a system call and a packet."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.server.wire.proxies import UNIX, TrustedProxies, read_address, scheme

_HEAD = b"HTTP/1.1 "


class JoinedWritesProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, with heads held back until their bodies come, and the caller behind a proxy."""

    trusted = TrustedProxies("")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Put the joining transport between the protocol and the connection."""
        super().connection_made(transport)
        self.transport = JoiningTransport(transport, self.loop)  # type: ignore[assignment]  # all that is used of one
        host, port = self.client or (UNIX, 0)
        self.client = (str(read_address(host) or host), port)
        self._peer_is_trusted = self.trusted.trusts(self.client[0])

    def on_headers_complete(self) -> None:
        """Name the caller that a proxy of ours names."""
        if self._peer_is_trusted:
            host, port = self.client or (UNIX, 0)
            caller = self.trusted.caller(host, self.headers)
            self.scope["client"] = (caller, port if caller == host else 0)
            self.scope["scheme"] = scheme(self.headers, str(self.scope["scheme"]))
        super().on_headers_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: a header of a caller's is no reason for a line in the log. The call is answered as without it."""


class JoiningTransport:
    """The methods of a transport that uvicorn writes with; a head that nothing follows at once goes out by itself."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write, or keep a head for what is written next."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closing or closed."""
        return self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._flush()
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        if self._head:
            self.write(b"")
