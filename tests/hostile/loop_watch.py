"""The gateway with a watch inside its event loop: how long anything kept the loop from turning.

    python -m tests.hostile.loop_watch FILE [the gateway's own arguments]

FILE is shared memory of four doubles: the longest stall in seconds since somebody wrote a nought there, the same by the
wall clock, the number of looks, and the CPU seconds of the process.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
import time
from pathlib import Path

from api.server import main as gateway

LAYOUT = struct.Struct("dddd")
_TICK_SECONDS = 0.004


class LoopWatch:
    """Asks to be called every few milliseconds, and notes how late that was.

    On a machine with more to do than cores, being late proves nothing: the process may have been waiting for a core.
    So what counts is the shorter of the lateness and of the CPU time that this process took meanwhile.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), LAYOUT.size)
        self._looks = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin."""
        self._loop = loop
        self._due = time.perf_counter() + _TICK_SECONDS
        self._cpu = time.process_time()
        loop.call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        late = max(0.0, now - self._due)
        stall = min(late, cpu - self._cpu)
        longest, longest_late, _, _ = LAYOUT.unpack_from(self._memory)
        self._looks += 1
        LAYOUT.pack_into(self._memory, 0, max(longest, stall), max(longest_late, late), self._looks, cpu)
        self.start(self._loop)


def main() -> None:
    """Run the gateway, watched."""
    watch = LoopWatch(Path(sys.argv.pop(1)))
    startup = gateway.Server.startup

    async def watched(self: gateway.Server, *arguments: object, **named: object) -> None:
        await startup(self, *arguments, **named)  # type: ignore[arg-type]  # handed on as they came
        watch.start(asyncio.get_running_loop())

    gateway.Server.startup = watched  # type: ignore[method-assign]  # there is no other way in
    gateway.main()


if __name__ == "__main__":
    main()
