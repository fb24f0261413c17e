"""Giving memory back: what a large call took is the system's again once the call is over.

glibc keeps what has been free for as long as something above it is in use. After a few minutes of hostile bodies the
gateway stood at 217 MB for good, of which little was in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Callable

from api.server.background import Background
from shared.process_memory import own_bytes

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # of glibc's mallopt
_LOOK_SECONDS = 2.0
_MUCH = 8 << 20  # bytes of growth that are worth a look: to give 10 to 50 MB back takes a thread 7 to 12 ms


def keep_little() -> None:
    """Two arenas in place of one for each thread, and large buffers apart. Where there is no glibc it does nothing."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_ARENA_MAX, 2)
        set_option(_MMAP_THRESHOLD, 1 << 20)


class MemoryKeeper(Background):
    """Gives back what is free, some seconds after the process has grown."""

    def __init__(self) -> None:
        self._trim = _find_trim()
        self._smallest = own_bytes()

    async def run(self) -> None:
        """Look now and then, and let a thread give back: others got memory within a millisecond meanwhile."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.has_grown():
                await asyncio.to_thread(self.give_back)

    def has_grown(self) -> bool:
        """Whether there may be much to give back."""
        return self._trim is not None and own_bytes() - self._smallest > _MUCH

    def give_back(self) -> None:
        """Return free memory to the system; what is taken then is where growth is counted from."""
        if self._trim is not None:
            self._trim(0)
        self._smallest = own_bytes()


def _find_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another system, another library
        return None
    return trim
