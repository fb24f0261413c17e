"""How long callers wait for what workers do, what they are told, and how few looks that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from api.access.caller import Caller
from api.access.caps import Cap, TooManyAtOnce
from api.http.problems import Problem
from api.intake import errands
from api.intake.errands import Errands
from shared.errands import Errand

ALICE, BOB = (Caller(name, (), key_id=number) for number, name in enumerate(("alice", "bob")))
Look = Callable[[list[UUID]], dict[UUID, Errand]]


class Threads:
    """What is asked for gets an id, and nothing else."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1)

    async def write(self, _change: object, *, owner: str) -> UUID:
        return UUID(str(uuid7()))


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Ended with the test."""
    made = Threads()
    yield made
    made.executor.shutdown()


def make(monkeypatch: pytest.MonkeyPatch, threads: Any, look: Look, *, of_key: int = 16) -> Errands:
    """Errands that are found as `look` says."""
    monkeypatch.setattr(errands, "read_all", lambda _, ids: look(list(ids)))
    monkeypatch.setattr(errands, "read_twice", lambda _, query: query(None))
    return Errands(threads, threads, Cap("errands", "calls that wait for a worker", of_key=of_key, of_all=1000))


def stand(status: str) -> Look:
    """What is known of errands does not change."""
    return lambda ids: {found: Errand(found, "check_model", "alice", status, None) for found in ids}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("running", "A worker has begun this"),
        ("queued", r"has begun .* running\? .* all are busy .* again later"),
    ],
)
def test_what_a_worker_has_begun_is_not_told_to_lack_one(
    monkeypatch: pytest.MonkeyPatch, threads: Threads, status: str, said: str
) -> None:
    """Whoever is told that none runs looks in the wrong place: who asks again may find it busy with the first call."""
    with pytest.raises(Problem, match=said) as late:
        asyncio.run(make(monkeypatch, threads, stand(status)).run("check_model", ALICE, {}, seconds=0.1))
    assert late.value.kind.status == 503


@pytest.mark.parametrize(
    ("status", "seconds"), [("queued", 11), ("running", 41), (None, 1)], ids=["queued", "running", "forgotten"]
)
def test_a_caller_waits_longer_for_what_a_worker_has_begun(
    monkeypatch: pytest.MonkeyPatch, threads: Threads, status: str | None, seconds: int
) -> None:
    """By a clock that goes on by one at each look: ten seconds for a worker, forty for what it does."""
    now = [100.0]

    def look(ids: list[UUID]) -> dict[UUID, Errand]:
        now[0] += 1
        return stand(status)(ids) if status else {}

    monkeypatch.setattr(errands, "_FIRST_LOOK_SECONDS", 0)
    monkeypatch.setattr(errands, "_REST_SECONDS", 0)
    monkeypatch.setattr(errands.time, "monotonic", lambda: now[0])
    with pytest.raises(Problem, match="A worker has begun this" if status == "running" else "Is one running"):
        asyncio.run(make(monkeypatch, threads, look).run("check_model", ALICE, {}))
    assert now[0] - 100 == seconds


def test_one_look_is_taken_for_all_who_wait(monkeypatch: pytest.MonkeyPatch, threads: Threads) -> None:
    """Three hundred open errands ask PostgreSQL as often as one: statuses and keys are looked up beside them."""
    looks: list[int] = []

    def look(ids: list[UUID]) -> dict[UUID, Errand]:
        looks.append(len(ids))
        return stand("done" if time.monotonic() > end else "running")(ids)

    async def ask() -> None:
        made = make(monkeypatch, threads, look, of_key=300)
        await asyncio.gather(*(made.run("count", ALICE, {}) for _ in range(300)))

    end = time.monotonic() + 1
    asyncio.run(ask())
    assert max(looks) > 100
    assert len(looks) < 2 / errands._REST_SECONDS  # a loaded machine takes longer for the second


def test_one_key_has_a_bounded_number_open_and_takes_nothing_from_another(
    monkeypatch: pytest.MonkeyPatch, threads: Threads
) -> None:
    """One more is a 429 in the name of the setting; another caller is let in, and ends leave room."""

    async def ask() -> list[Any]:
        made = make(monkeypatch, threads, stand("done"), of_key=2)
        first = await asyncio.gather(
            *(made.run("count", caller, {}) for caller in (ALICE, ALICE, ALICE, BOB)), return_exceptions=True
        )
        return [*first, await made.run("count", ALICE, {})]

    answers = asyncio.run(ask())
    assert [type(answer) for answer in answers] == [dict, dict, TooManyAtOnce, dict, dict]
    assert [flaw.code for flaw in answers[2].flaws] == ["key_errands"]
