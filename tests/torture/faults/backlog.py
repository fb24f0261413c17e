"""No fault at all, but more work than the workers keep up with: hardly any message may be delivered twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Tools

_ROWS = 2000  # of a job, in batches of 500 or less
_NOISE = 3  # messages just delivered whose batch is not claimed yet


def backlog(seconds: float) -> Fault:
    """Batches wait in line for `seconds`, many of them for longer than any grace; all of them are answered after it."""

    @contextmanager
    def run(tools: Tools) -> Iterator[None]:
        before, taken_before = tools.counts(), _taken(tools)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _waiting(tools) > min(200, 20 + seconds / 2):
                tools.hold(0.1)
            else:
                clients = tools.rng.choices(population.ORDINARY, k=_ROWS - 1)
                tools.submit(Ask("bulk", [tools.rng.choice(population.SLOW), *clients]))

        def verify() -> None:
            counts = tools.counts()
            counts.subtract(before)
            batches = _taken(tools) - taken_before
            twice = counts["delivered"] - batches
            words = f"{batches} batches: {counts['sent_again']} sent again, {twice} delivered again"
            tools.notes.append(words)
            if max(counts["sent_again"], twice) > max(_NOISE, batches / 100):
                raise AssertionError(f"{words}, although nothing was lost")

        tools.verifications.append(verify)
        yield

    return Fault(f"no fault, a backlog of {seconds:g} s", run, mixable=False)


def _waiting(tools: Tools) -> int:
    return int(tools.cluster.query("SELECT count(*) FROM predictq.prediction_batches WHERE status = 'queued'")[0][0])


def _taken(tools: Tools) -> int:
    """Messages that were taken, as long as none is lost: one for each batch, also one whose batch was cancelled."""
    with tools.cluster.redis_client() as client:
        waiting = sum(int(client.llen(queue)) for queue in ("interactive", "bulk"))
    return int(tools.cluster.query("SELECT count(*) FROM predictq.batch_requests")[0][0]) - waiting
