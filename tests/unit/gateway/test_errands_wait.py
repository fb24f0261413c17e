"""How long callers wait for what workers do, and what they are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from api.http.problems import Problem
from api.intake import errands
from api.intake.errands import Errands
from shared.errands import Errand


class Threads:
    """What is known of an errand does not change."""

    def __init__(self, status: str) -> None:
        self.errand = Errand(uuid7(), "check_model", "alice", status, None)

    async def write(self, _change: object) -> Any:
        return self.errand.id

    async def read(self, _query: object) -> Errand:
        return self.errand


@pytest.mark.parametrize(("status", "said"), [("running", "A worker has begun this"), ("queued", "Is one running?")])
def test_what_a_worker_has_begun_is_not_told_to_lack_one(status: str, said: str) -> None:
    """Whoever is told that none runs looks in the wrong place."""
    threads: Any = Threads(status)
    with pytest.raises(Problem, match=said) as late:
        asyncio.run(Errands(threads).run("check_model", "alice", {}, seconds=0.1))
    assert late.value.kind.status == 503


@pytest.mark.parametrize(
    ("status", "seconds"), [("queued", 11), ("running", 41), (None, 1)], ids=["queued", "running", "forgotten"]
)
def test_a_caller_waits_longer_for_what_a_worker_has_begun(
    monkeypatch: pytest.MonkeyPatch, status: str | None, seconds: int
) -> None:
    """By a clock that goes on by one at each look: ten seconds for a worker, forty for what it does."""
    now = [100.0]

    class Clock(Threads):
        async def read(self, _query: object) -> Any:
            now[0] += 1
            return self.errand if status else None

    monkeypatch.setattr(errands, "_FIRST_LOOK_SECONDS", 0)
    monkeypatch.setattr(errands.time, "monotonic", lambda: now[0])
    threads: Any = Clock(status or "queued")
    with pytest.raises(Problem, match="A worker has begun this" if status == "running" else "Is one running"):
        asyncio.run(Errands(threads).run("check_model", "alice", {}))
    assert now[0] - 100 == seconds
