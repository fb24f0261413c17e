"""Heads and bodies leave together, and nothing is held back for longer than it takes to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.server.wire.joined_writes import JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire:
    """Stands for a connection: keeps what was written, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.writes.append(data)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def run(act: Callable[[JoiningTransport], None]) -> Wire:
    """Let `act` write; returns the wire one turn of the event loop later."""

    async def turn() -> Wire:
        wire = Wire()
        act(JoiningTransport(wire, asyncio.get_running_loop()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        return wire

    return asyncio.run(turn())


def test_a_head_and_its_body_are_one_write() -> None:
    """Also when two answers follow each other, and with further pieces of a body as they come."""

    def act(transport: JoiningTransport) -> None:
        for data in (HEAD, b"ok", HEAD, b"o", b"k"):
            transport.write(data)

    assert run(act).writes == [HEAD + b"ok", HEAD + b"o", b"k"]


def test_a_head_without_a_body_goes_out_by_itself() -> None:
    """As those of long downloads do, whose first rows may take their time."""
    assert run(lambda transport: transport.write(HEAD)).writes == [HEAD]


def test_closing_leaves_nothing_behind() -> None:
    """What was written before goes out first."""

    def act(transport: JoiningTransport) -> None:
        transport.write(HEAD)
        transport.close()

    wire = run(act)
    assert (wire.writes, wire.is_closed) == ([HEAD], True)
