"""Before a version goes live: how long the gateway waits for workers to load it, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access.caller import Caller
from api.access.caps import Cap, TooManyAtOnce
from api.intake import warm_up
from api.intake.warm_up import WarmUps
from shared.errors import ModelRefused
from shared.models.warm_up import WarmUp

PROCESSES = 2
VERSION = SimpleNamespace(id=7, label="churn:3")
CALLER = Caller("alice", ("operate",), key_id=1)
CAP = Cap("errands", "calls that wait for a worker", of_key=3, of_all=3)
Progress = Callable[[float], WarmUp]  # by the seconds that have been waited


def waited(monkeypatch: pytest.MonkeyPatch, progress: Progress) -> float:
    """For how many seconds the gateway waited, by a clock that goes on by one at each look."""
    now = [0.0]

    class Threads:
        async def read(self, _: Any) -> WarmUp:
            now[0] += 1
            return progress(now[0])

    monkeypatch.setattr(warm_up, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(warm_up.time, "monotonic", lambda: now[0])
    asyncio.run(WarmUps(cast("Any", Threads()), CAP)._wait(cast("Any", VERSION), PROCESSES))
    return now[0]


@pytest.mark.parametrize(
    ("progress", "seconds"),
    [
        (lambda _: WarmUp(PROCESSES, 0, []), 1),
        (lambda now: WarmUp(1, 1, []) if now < 5 else WarmUp(2, 0, []), 5),
        (lambda now: WarmUp(0, 2, []) if now < 5 else WarmUp(1, 0, ["no room"]), 5),
        (lambda now: WarmUp(0, 1, ["no room"]) if now < 15 else WarmUp(1, 0, ["no room"]), 15),
        (lambda _: WarmUp(0, 0, []), 11),
        (lambda _: WarmUp(0, 1, []), 21),
        (lambda _: WarmUp(1, 0, []), 21),
    ],
)
def test_the_gateway_waits_until_all_have_tried(
    monkeypatch: pytest.MonkeyPatch, progress: Progress, seconds: float
) -> None:
    """Ten seconds where nobody says a word, and twenty where some do and not all."""
    assert waited(monkeypatch, progress) == seconds


@pytest.mark.parametrize("processes", [[], [0]])
def test_where_no_process_runs_none_is_asked_or_waited_for(processes: list[int]) -> None:
    """A version goes live before there are workers, as on a new machine."""

    class Threads:
        async def read(self, _: Any) -> Any:
            return [SimpleNamespace(processes=count) for count in processes]

    # Whatever else were asked for is not there.
    asyncio.run(WarmUps(cast("Any", Threads()), CAP).run(cast("Any", VERSION), CALLER))


@pytest.mark.parametrize(
    ("progress", "seconds"),
    [
        (lambda _: WarmUp(0, 0, ["no room"]), 1),
        (lambda now: WarmUp(0, int(now < 5), ["no room"]), 5),
        (lambda _: WarmUp(0, 1, ["no room"]), 21),
    ],
)
def test_a_version_that_only_failed_to_load_does_not_go_live(
    monkeypatch: pytest.MonkeyPatch, progress: Progress, seconds: float
) -> None:
    """As soon as nobody is at it any more, and after twenty seconds in any case."""
    last: list[float] = []

    def noted(now: float) -> WarmUp:
        last.append(now)
        return progress(now)

    with pytest.raises(ModelRefused, match="No process that tried could load churn:3: no room"):
        waited(monkeypatch, noted)
    assert last[-1] == seconds


def test_all_who_want_a_version_live_wait_for_one_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many promote it at a time: one asks PostgreSQL how far it is, and one too many is refused."""
    asked: list[str] = []

    class Threads:
        async def read(self, query: Any) -> Any:
            asked.append("read")
            await asyncio.sleep(0)
            return [SimpleNamespace(processes=1)] if len(asked) == 1 else WarmUp(1, 0, [])

        async def write(self, change: Any) -> None:
            asked.append("write")

    async def promote() -> list[BaseException | None]:
        warm_ups = WarmUps(cast("Any", Threads()), CAP)
        runs = [warm_ups.run(cast("Any", VERSION), CALLER) for _ in range(4)]
        return await asyncio.gather(*runs, return_exceptions=True)

    monkeypatch.setattr(warm_up, "_LOOK_SECONDS", 0)
    ends = asyncio.run(promote())
    assert asked == ["read", "write", "read", "write"]
    assert [type(end) for end in ends] == [type(None), type(None), type(None), TooManyAtOnce]
    assert CAP.open == 0
