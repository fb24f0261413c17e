"""How long callers wait for what workers do, and what they are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from api.http.problems import Problem
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
