"""`python -m bench.setup.listeners PORT KEY COUNT`: so many open streams of events, in a process of their own.

Prints "open" when each has begun, then reads until it is ended, and at its end how many events have come.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys


async def main(port: int, key: str, count: int) -> None:
    """Open the streams, ten at a time, and read."""
    events = 0
    begun = asyncio.Semaphore(0)
    opening = asyncio.Semaphore(10)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async def listen() -> None:
        nonlocal events
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
        sys.exit("a stream has ended")

    tasks = [asyncio.create_task(listen()) for _ in range(count)]
    for _ in tasks:
        await begun.acquire()
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await ended.wait()
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    sys.stdout.write(f"{events}\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
