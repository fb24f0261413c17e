"""Calls that are repeated under their Idempotency-Keys, one after the other and at once. Nothing breaks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Tools

_AT_ONCE = 4
_FEATURES = {"age": 41, "monthly_income": population.income(4321), "department": "Sales", "over_time": True}


@contextmanager
def repeated_calls(tools: Tools) -> Iterator[None]:
    """Each kind of call comes to all gateways at once, and again once it was accepted: all are led to one job."""
    for ask in _asks(tools):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            posts = [pool.submit(partial(_post, tools, ask, number)) for number in range(_AT_ONCE)]
            jobs = {tools.submit(ask), *filter(None, (post.result() for post in posts))}
        jobs |= set(filter(None, (_post(tools, ask, number) for number in range(_AT_ONCE))))
        if len(jobs) != 1:
            raise AssertionError(f"{ask.kind}: {len(jobs)} jobs under one key")
    yield


def _asks(tools: Tools) -> list[Ask]:
    choose = partial(tools.rng.choices, population.ORDINARY)
    where: dict[str, Any] = {"age": population.STILL_AGE, "department": "Sales"}
    return [
        Ask("single", choose(k=1)),
        Ask("raw", features=dict(_FEATURES)),
        Ask("bulk", choose(k=300)),
        Ask("upload", choose(k=300)),
        Ask("select", where=where),
    ]


def _post(tools: Tools, ask: Ask, number: int) -> str | None:
    """The job that the call was led to; None where it was told to come again."""
    answer = tools.caller.post(ask, number % len(tools.cluster.gateways))
    return str(answer.json()["id"]) if answer is not None and answer.status_code in (200, 202) else None


FAULTS = [Fault("no fault, calls are repeated under their keys", repeated_calls)]
