"""TCP proxies between the parts of a cluster, which can be made to fail in the ways that networks do."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Trap:
    """Springs when `marker` passes from client to server: at once, or when the server has replied to it.

    A sprung connection forwards nothing more: `action` runs in a thread, then both ends are reset.
    """

    marker: bytes
    on_reply: bool
    action: Callable[[], None] = lambda: None
    left: int = 1  # how many times it may spring
    leaves_open: bool = False  # both ends stay up, half-open, in place of the reset
    sprung: threading.Event = field(default_factory=threading.Event)

    def spring(self) -> None:
        """Act, then tell; in a thread, because the connection's task ends with the process that is killed here."""
        self.action()
        self.sprung.set()


class Tally:
    """Counts how often `pattern` passes, by its last group. No match may be longer than `longest` bytes."""

    def __init__(self, pattern: bytes, longest: int) -> None:
        self._pattern = re.compile(pattern)
        self._longest = longest
        self.counts: Counter[bytes] = Counter()

    @property
    def count(self) -> int:
        """All of them."""
        return self.counts.total()

    def add(self, rest: bytes, data: bytes) -> bytes:
        """Count in `data`, which follows `rest` on the same connection; gives the `rest` for the next piece."""
        text = rest + data  # what is looked for may come in two pieces
        end = 0
        for match in self._pattern.finditer(text):
            self.counts[match[match.lastindex or 0]] += 1
            end = match.end()
        return text[max(end, len(text) - self._longest) :]


class Loop:
    """One event loop in a thread of its own, for all proxies of a cluster."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def close(self) -> None:
        """Let every task end, then the thread."""

        async def cancel() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # transports close in a callback of their own

        self.call(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


class Proxy:
    """Listens on a port of its own and forwards to `target` on this machine, as long as it is told to."""

    def __init__(self, loop: Loop, target: int, address: str = "127.0.0.1") -> None:
        self._loop = loop
        self.target = target
        self.address = address  # where it listens
        self.port = 0
        self.delay = 0.0  # seconds added to every piece of data, in both directions
        self.traps: list[Trap] = []
        self.tally: Tally | None = None  # of what the server sends
        self.outward_tally: Tally | None = None  # of what clients send
        self._silent = False
        self._connections: set[_Connection] = set()
        self._server = loop.call(self._listen())

    @property
    def open_connections(self) -> int:
        """Connections that pass through now."""
        return len(self._connections)

    def silence(self) -> None:
        """Half-open: every connection, old or new, stays up and carries nothing from now on."""
        self._silent = True
        for connection in tuple(self._connections):
            connection.is_dead = True

    def unsilence(self) -> None:
        """New connections work again; those of the silence stay dead, as after a lost NAT entry."""
        self._silent = False

    def restore(self) -> None:
        """A line that works: nothing silent, slow or lying in wait."""
        self._silent = False
        self.delay = 0.0
        self.traps.clear()

    def reset_all(self) -> None:
        """Reset every connection that is open now; new ones work."""

        async def reset() -> None:
            for connection in tuple(self._connections):
                connection.reset()

        self._loop.call(reset())

    def set_trap(
        self,
        marker: bytes,
        *,
        on_reply: bool,
        action: Callable[[], None] = lambda: None,
        leaves_open: bool = False,
    ) -> Trap:
        """Lie in wait for `marker`; see `Trap`."""
        trap = Trap(marker, on_reply, action, leaves_open=leaves_open)
        self.traps.append(trap)
        return trap

    def close(self) -> None:
        """Stop listening and reset what is open."""

        async def close() -> None:
            self._server.close()
            for connection in tuple(self._connections):
                connection.reset()

        self._loop.call(close())

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, self.address, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer, is_dead=self._silent)
        self._connections.add(connection)
        try:
            await connection.run(reader)
        except asyncio.CancelledError:
            return  # the run is over
        except OSError:
            connection.reset()  # the server refused or vanished: the client hears the same
        finally:
            self._connections.discard(connection)
            connection.close()


class _Connection:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, *, is_dead: bool) -> None:
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._waiting: Trap | None = None  # its marker has passed, the reply has not come
        self.is_dead = is_dead

    async def run(self, from_client: asyncio.StreamReader) -> None:
        from_server, self._server = await asyncio.open_connection("127.0.0.1", self._proxy.target, limit=1 << 20)
        pumps = [
            asyncio.ensure_future(self._pump(from_client, self._server, outward=True)),
            asyncio.ensure_future(self._pump(from_server, self._client, outward=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        if self.is_dead:
            await self._linger(from_client)

    async def _linger(self, from_client: asyncio.StreamReader) -> None:
        """The server has gone, but the client cannot know: nothing tells it across a dead line."""
        with contextlib.suppress(OSError):
            while await from_client.read(65536):
                continue

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, outward: bool) -> None:
        rest, tally = b"", self._proxy.outward_tally if outward else self._proxy.tally
        while data := await source.read(65536):
            if self._proxy.delay:
                await asyncio.sleep(self._proxy.delay)
            if await self._spring(data, outward=outward):
                return
            if not self.is_dead:
                rest = tally.add(rest, data) if tally else b""
                sink.write(data)
                await sink.drain()

    async def _spring(self, data: bytes, *, outward: bool) -> bool:
        trap = None if outward else self._waiting
        if outward:
            found = next((t for t in self._proxy.traps if t.left > 0 and t.marker in data), None)
            if found is not None:
                found.left -= 1
                if found.on_reply:
                    self._waiting = found
                else:
                    trap = found
        if trap is None:
            return False
        self.is_dead = self.is_dead or trap.leaves_open
        await asyncio.to_thread(trap.spring)
        if trap.leaves_open:
            await asyncio.Event().wait()  # until the connection is reset or closed from elsewhere
        self.reset()
        return True

    def close(self) -> None:
        """Close both ends in good order."""
        for end in (self._client, self._server):
            if end is not None:
                end.close()

    def reset(self) -> None:
        """RST to both ends."""
        for end in (self._client, self._server):
            if end is not None and not end.transport.is_closing():
                raw: socket.socket = end.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()
