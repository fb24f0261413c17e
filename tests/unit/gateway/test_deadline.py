"""The deadline of a call: it ends what takes too long, wherever that waits, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from api.server.database_threads import late
from api.server.deadline import Deadline, current
from shared.errors import DatabaseUnavailable, OutcomeOpen


async def never(seconds: float, make_error: Callable[[], DatabaseUnavailable], *, pause: float = 0.0) -> None:
    """Something that waits for its caller, and then for ever."""
    with Deadline(seconds) as deadline:
        current().make_error = make_error
        with deadline.paused():
            await asyncio.sleep(pause)
        await asyncio.Event().wait()


def test_what_takes_too_long_ends_with_the_stated_error() -> None:
    """However deep it waits; the task can go on afterwards."""

    async def run() -> None:
        with pytest.raises(DatabaseUnavailable, match="has not answered in time"):  # which is no word of being away
            await never(0.01, late)
        with pytest.raises(OutcomeOpen):
            await never(0.01, OutcomeOpen)
        await asyncio.sleep(0)

    asyncio.run(run())


def test_it_is_put_off_while_the_caller_is_waited_for() -> None:
    """Pauses, waits that were asked for and signs of life are no delay; a lifted deadline never comes."""

    async def run() -> None:
        with Deadline(0.05) as deadline, deadline.paused():
            await asyncio.sleep(0.1)
        with Deadline(0.05) as deadline:
            deadline.extend(60)
            await asyncio.sleep(0.1)
        with Deadline(0.05) as deadline:
            deadline.at_least(60)
            deadline.at_least(0)
            await asyncio.sleep(0.1)
        with Deadline(0.05) as deadline:
            deadline.lift()
            await asyncio.sleep(0.1)
        with pytest.raises(DatabaseUnavailable):
            await never(0.05, late, pause=0.1)

    asyncio.run(run())


def test_an_error_or_a_cancellation_from_elsewhere_is_left_as_it_is() -> None:
    """Only what the deadline ended is called late."""

    async def wait() -> None:
        with Deadline():
            await asyncio.Event().wait()

    async def run() -> None:
        with pytest.raises(ZeroDivisionError), Deadline():
            raise ZeroDivisionError
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_outside_of_calls_there_is_none() -> None:
    """Work in the background has no deadline, and may ask for it all the same."""

    async def run() -> None:
        deadline = current()
        with deadline.paused():
            deadline.extend(1)
        deadline.at_least(1)

    asyncio.run(run())
