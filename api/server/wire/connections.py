"""All connections of a gateway: how many may be open, from where, and the clock by which each of them is judged."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from api.server.wire.descriptors import room_for
from api.server.wire.pace import Pace
from api.server.wire.proxies import TrustedProxies, origin_of
from api.server.wire.reasons import PACED, Reason
from shared.settings.wire import WireSettings

if TYPE_CHECKING:
    from api.server.wire.link import Link

READ_BYTES = 32 * 1024  # read at once, so that no piece of work on the event loop is large
_HEALTH = ("/health", "/health/live", "/health/ready")
_TICK_SECONDS = 1.0  # between two looks at the open connections; shorter where a limit is


class Connections:
    """Counts connections and refusals, and looks at every open connection about once a second.

    One of them serves one event loop. A timer of its own for each connection would cost more than all of this.
    """

    def __init__(self, settings: WireSettings, root_path: str = "") -> None:
        """`root_path` is where a proxy shows the gateway, whether or not it takes the path away."""
        self.settings = settings
        self.health_paths = frozenset(root + path for root in ("", root_path) for path in _HEALTH)
        self.trusted = TrustedProxies(settings.trusted_proxies)
        self.refusals: Counter[Reason] = Counter()
        self.buffer = bytearray(READ_BYTES)  # read into by whichever connection has its turn
        self.view = memoryview(self.buffer)
        self.now = 0.0  # by the event loop's clock, as of the last look
        # Descriptors must not run out: then nobody would be told anything.
        self.most = max(
            1, room_for(settings.max_connections + settings.health_connections) - settings.health_connections
        )
        self.paces = {reason: Pace(settings.refusals_per_second) for reason in PACED}
        self._open: set[Link] = set()
        self._by_address: Counter[str] = Counter()
        self._is_ticking = False
        shortest = min(settings.head_seconds, settings.body_pause_seconds, settings.idle_seconds)
        self._tick_seconds = min(_TICK_SECONDS, max(0.02, shortest / 5))

    def __len__(self) -> int:
        return len(self._open)

    def counts(self) -> dict[str, int]:
        """How often anything was refused, for every reason there is."""
        return {reason.value: self.refusals[reason] for reason in Reason}

    @property
    def is_full(self) -> bool:
        """Whether those that are open now may ask for /health alone, but for the first `most`."""
        return len(self._open) > self.most

    def enter(self, connection: Link, address: str) -> Reason | None:
        """Count a new connection, unless there are too many: then the reason comes back."""
        origin = origin_of(address)
        if len(self._open) >= self.most + self.settings.health_connections:
            return Reason.GATEWAY_FULL
        if self._by_address[origin] >= self.settings.max_connections_per_address and not self.trusted.trusts(address):
            return Reason.ADDRESS_FULL
        self._by_address[origin] += 1
        self._open.add(connection)
        self._start_ticking()
        return None

    def leave(self, connection: Link, address: str) -> None:
        """Forget a connection that was counted; any other is none of ours."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        origin = origin_of(address)
        self._by_address[origin] -= 1
        if not self._by_address[origin]:
            del self._by_address[origin]

    def _start_ticking(self) -> None:
        if not self._is_ticking:
            self._is_ticking = True
            loop = asyncio.get_running_loop()
            self.now = loop.time()
            loop.call_later(self._tick_seconds, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        elapsed, self.now = now - self.now, now
        # While the loop stood still nobody was read, and what came meanwhile has the time of the last look.
        stood = max(0.0, elapsed - 2 * self._tick_seconds)
        for connection in tuple(self._open):
            connection.excuse(stood)
            connection.look(now, elapsed - stood)
        for pace in self.paces.values():
            pace.forget(now)
        self._is_ticking = bool(self._open or any(self.paces.values()))
        if self._is_ticking:
            loop.call_later(self._tick_seconds, self._tick, loop)
