"""A worker wakes its processes for a version that is wanted, without filling the queue."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from shared.status import Queue
from worker import presence as presence_module
from worker.presence import Presence


def test_a_version_that_is_wanted_costs_few_messages_and_another_is_rung_for_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A minute of looks twice a second rings about ten times, with pauses that grow; asked again, it rings at once."""
    now, rung = [100.0], []
    wanted: dict[int, datetime] = {}
    monkeypatch.setattr(presence_module, "autocommit", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(presence_module, "wanted", lambda _: dict(wanted))
    monkeypatch.setattr(presence_module, "publish_work", lambda _, count, __: rung.append((now[0], count)))
    monkeypatch.setattr(presence_module.time, "monotonic", lambda: now[0])
    nothing = cast("Any", None)
    presence = Presence(nothing, nothing, node="a", processes=3, queues=[Queue.INTERACTIVE], loadable=nothing)

    def look(seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            presence.wake_for_wanted()
            now[0] += 0.5

    look(5)
    assert rung == []
    wanted[7] = datetime.now(UTC)
    began = now[0]
    look(60)
    assert rung[0] == (began, 3)
    assert rung[1] == (began + 0.5, 3)
    assert 8 <= len(rung) <= 12
    wanted[7] += timedelta(seconds=61)
    presence.wake_for_wanted()
    assert rung[-1] == (now[0], 3)
