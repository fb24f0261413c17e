"""Threads beside the work go on after any error: without them a lease runs out, and nobody ends a model that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest
from sqlalchemy import Engine

from shared.batches.claims import Claim
from shared.errands import ClaimedErrand
from worker.errands import runner
from worker.planning import lease_beat
from worker.scoring import lease_keeper

NOBODY = cast("Engine", None)
CLAIM = cast("Claim", SimpleNamespace(batch_id=1, fence=1))
ERRAND = cast("ClaimedErrand", SimpleNamespace(id=1, kind="count"))


def scoring() -> AbstractContextManager[object]:
    keeper = lease_keeper.LeaseKeeper(NOBODY, lease_seconds=0.06, call_timeout_seconds=60)
    return keeper.keeping([CLAIM])


def planning() -> AbstractContextManager[object]:
    return lease_beat.LeaseBeat(NOBODY, CLAIM, lease_seconds=0.06)


def an_errand() -> AbstractContextManager[object]:
    return runner.ErrandRunner(NOBODY, {}, worker="w", stopped=threading.Event())._holding(ERRAND)


@contextmanager
def no_connection(_engine: Engine) -> Iterator[None]:
    yield None


@pytest.mark.parametrize("error", [psycopg2.ProgrammingError("no such function"), MemoryError()])
@pytest.mark.parametrize(
    ("holding", "name"),
    [
        (scoring, "worker.scoring.lease_keeper.extend_leases"),
        (planning, "worker.planning.lease_beat.extend_lease"),
        (an_errand, "worker.errands.runner.extend_errand"),
    ],
)
def test_a_heartbeat_goes_on_after_any_error(
    monkeypatch: pytest.MonkeyPatch, holding: Callable[[], AbstractContextManager[object]], name: str, error: Exception
) -> None:
    """One beat raises what nobody foresaw; the next one extends the lease."""
    beats = 0
    extended = threading.Event()

    def extend(*_: Any, **__: Any) -> list[Claim]:
        nonlocal beats
        beats += 1
        if beats == 1:
            raise error
        extended.set()
        return []

    monkeypatch.setattr(name, extend)
    monkeypatch.setattr(runner, "autocommit", no_connection)
    monkeypatch.setattr(runner, "_LEASE_SECONDS", 0.06)
    with holding():
        assert extended.wait(10)
