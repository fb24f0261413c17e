"""`python -m bench.setup.listeners PORT KEY COUNT`: so many open streams of events, in a process of their own.

Prints "open" when each has begun and been told how its jobs stand. Reads until it is ended and nothing comes any more,
and prints how many events came.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time

_QUIET_SECONDS = 1.0


async def main(port: int, key: str, count: int) -> None:
    """Open the streams, ten at a time, and read."""
    events, last_at = 0, 0.0
    begun = asyncio.Semaphore(0)
    opening = asyncio.Semaphore(10)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async def listen() -> None:
        nonlocal events, last_at
        async with opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit(head.decode())
        begun.release()
        while piece := await reader.read(65536):
            events += piece.count(b"event: job")
            last_at = time.monotonic()
        sys.exit("a stream has ended")

    async def quiet() -> None:
        while (seconds := last_at + _QUIET_SECONDS - time.monotonic()) > 0:  # noqa: ASYNC110 - silence is no event
            await asyncio.sleep(seconds)

    tasks = [asyncio.create_task(listen()) for _ in range(count)]
    for _ in tasks:
        await begun.acquire()
    await quiet()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await ended.wait()
    await quiet()
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    sys.stdout.write(f"{events}\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
