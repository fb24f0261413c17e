"""How often an address may come with a key, a session or a link that is none: each costs a question to PostgreSQL."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from api.server.wire.proxies import origin_of

_MOST_ADDRESSES = 10_000  # remembered; then the one that failed longest ago is forgotten


class FailedKeys:
    """So many failures at once, and as many again in each minute. IPv6 addresses of one network of 64 bits are one."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._per_second = per_minute / 60
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # failures left, and when that was so
        self.failures = 0  # since the start of the process
        self.refused = 0

    def is_over(self, address: str) -> bool:
        """Whether this address has failed too often."""
        is_over = self._of(origin_of(address)) < 1
        self.refused += is_over
        return is_over

    def note(self, address: str) -> None:
        """One more failure."""
        network = origin_of(address)
        self.failures += 1
        self._left[network] = max(0.0, self._of(network) - 1), self._now()
        self._left.move_to_end(network)
        if len(self._left) > _MOST_ADDRESSES:
            self._left.popitem(last=False)

    def _of(self, network: str) -> float:
        left, at = self._left.get(network, (self._most, 0.0))
        return min(self._most, left + (self._now() - at) * self._per_second)
