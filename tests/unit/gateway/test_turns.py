"""Heavy work goes in steps: one in each turn of the event loop, API keys in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from api.server.turns import Turns


def test_keys_take_turns_however_much_one_of_them_has() -> None:
    """Eight bodies of alice's stand in line before bob's: his steps come every second time, not every ninth."""
    done: list[str] = []

    def steps(key: str, count: int) -> Generator[None, None, str]:
        for _ in range(count):
            done.append(key)
            yield
        return key

    async def run() -> list[str]:
        turns = Turns()
        heavy = [turns.run(steps("alice", 20), "alice") for _ in range(8)]
        return await asyncio.gather(*heavy, turns.run(steps("bob", 5), "bob"))

    assert asyncio.run(run()) == ["alice"] * 8 + ["bob"]
    last = max(place for place, key in enumerate(done) if key == "bob")
    assert done[: last + 1].count("alice") <= 12


def test_others_are_served_between_any_two_steps() -> None:
    """Between two steps the loop turns: what is ready then runs."""
    order: list[str] = []

    def steps() -> Generator[None, None, None]:
        for _ in range(3):
            order.append("step")
            yield

    async def other() -> None:
        for _ in range(12):
            order.append("other")
            await asyncio.sleep(0)

    async def run() -> None:
        turns = Turns()
        await asyncio.gather(turns.run(steps(), "a"), turns.run(steps(), "b"), other())

    asyncio.run(run())
    text = " ".join(order[: max(place for place, name in enumerate(order) if name == "step") + 1])
    assert "step step" not in text


def test_whoever_leaves_the_line_holds_nobody_up() -> None:
    """A caller who is gone is passed over, and leaves nothing behind."""

    async def run() -> Turns:
        turns = Turns()
        gone = [asyncio.create_task(turns.next("a")) for _ in range(3)]
        await asyncio.sleep(0)
        gone[0].cancel()
        await asyncio.wait_for(asyncio.gather(*gone[1:]), 5)
        await asyncio.sleep(0.01)
        return turns

    turns = asyncio.run(run())
    assert (len(turns._waiting), turns._is_calling) == (0, False)


def test_few_large_bodies_are_held_at_a_time() -> None:
    """Two at once in all, one of each key."""
    held: list[str] = []
    most: list[int] = []

    async def hold(turns: Turns, key: str) -> None:
        async with turns.room(key):
            held.append(key)
            most.append(len(held))
            assert held.count(key) == 1
            await asyncio.sleep(0.001)
            held.remove(key)

    async def run() -> None:
        turns = Turns()
        await asyncio.gather(*[hold(turns, key) for key in "aaaabbbbcc"])

    asyncio.run(run())
    assert max(most) == 2
