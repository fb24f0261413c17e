"""The sweeper puts back the messages that queues lack, round after round, whatever one of them met."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from shared.errors import DatabaseUnavailable
from shared.status import SCORING_QUEUES, Queue
from worker.upkeep import sweeper
from worker.upkeep.sweeper import Sweeper

PATIENCE = 100.0


class Around:
    """What the sweeper sees: messages that queues hold and lack, batches that nobody can load, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = dict.fromkeys(SCORING_QUEUES, 0)
        self.missing = dict.fromkeys(SCORING_QUEUES, 0)
        self.unloadable = dict.fromkeys(SCORING_QUEUES, 0)
        self.looks: list[float] = []
        self.published: list[tuple[Queue, int]] = []
        self.now = 1000.0
        monkeypatch.setattr(sweeper, "mend_keys", lambda _: [])
        monkeypatch.setattr(sweeper, "count_messages", lambda _, queue: self.held[queue])
        monkeypatch.setattr(sweeper, "missing_messages", lambda *_, **__: dict(self.missing))
        monkeypatch.setattr(
            sweeper, "publish_work", lambda _, messages, queue: self.published.append((queue, messages))
        )
        monkeypatch.setattr(sweeper, "unloadable", self._unloadable)
        monkeypatch.setattr(sweeper.time, "monotonic", lambda: self.now)

    def _unloadable(self, _: Any, queue: Queue, *, patience_seconds: float) -> list[Any]:
        assert patience_seconds == PATIENCE
        self.looks.append(self.now)
        return [SimpleNamespace(batches=self.unloadable[queue])]


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Around:
    return Around(monkeypatch)


def make(every: float = 60.0) -> Sweeper:
    nothing = cast("Any", SimpleNamespace(requirements=(), models=None))
    return Sweeper(nothing, nothing, nothing, sweep_seconds=every, grace_seconds=1.0, patience_seconds=PATIENCE)


def put_back(queue: Queue) -> float:
    return REGISTRY.get_sample_value("predictq_worker_sweeper_redispatches_total", {"queue": queue.value}) or 0.0


def test_what_a_queue_lacks_is_put_back_and_counted(around: Around) -> None:
    """And nothing is said of a queue that lacks none."""
    one, other, *_ = SCORING_QUEUES
    around.missing[one] = 3
    before = put_back(one), put_back(other)
    with capture_logs() as logged:
        assert make().sweep_once() == 3
    assert (one, 3) in around.published
    assert (put_back(one), put_back(other)) == (before[0] + 3, before[1])
    assert [(entry["queue"], entry["messages"]) for entry in logged] == [(one.value, 3)]


@pytest.mark.parametrize(
    ("missing", "held", "unloadable", "messages"),
    [(3, 0, 0, 3), (3, 9, 5, 3), (0, 0, 5, 5), (3, 0, 5, 5), (3, 1, 5, 4), (0, 5, 5, 0), (0, 0, 1_000, 100)],
)
def test_work_that_nobody_can_load_has_messages_too(
    around: Around, missing: int, held: int, unloadable: int, messages: int
) -> None:
    """As many as it has batches, with those that are there, up to a hundred."""
    queue = SCORING_QUEUES[0]
    around.missing[queue], around.held[queue], around.unloadable[queue] = missing, held, unloadable
    assert make().sweep_once() == messages
    assert (queue, messages) in around.published


def test_work_that_nobody_can_load_is_looked_for_ten_times_within_the_patience(around: Around) -> None:
    """And not at each sweep, for it costs a look at all that waits."""
    swept = make()
    for seconds in (0.0, 9.9, 0.2, 9.9, 0.2):
        around.now += seconds
        swept.sweep_once()
    assert sorted(set(around.looks)) == pytest.approx([1000.0, 1010.1, 1020.2])


@pytest.mark.parametrize("error", [DatabaseUnavailable(ConnectionError("away")), ZeroDivisionError("a mistake")])
def test_a_round_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever it met."""
    went_on = threading.Event()
    rounds: list[int] = []

    def sweep_once(_: Sweeper) -> int:
        rounds.append(1)
        if len(rounds) == 1:
            raise error
        went_on.set()
        return 0

    monkeypatch.setattr(Sweeper, "sweep_once", sweep_once)
    swept = make(every=0.01)
    swept.start()
    try:
        assert went_on.wait(5)
    finally:
        swept.stop()
    assert not swept._thread.is_alive()
