"""What a fault is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.torture.callers import Ask, Caller, Crowd
from tests.torture.checking.ledger import Ledger
from tests.torture.machinery.cluster import Cluster, wait_for
from tests.torture.machinery.stopping import pause

_ACCEPTED_SECONDS = 30.0  # in which a job that a fault needs must be accepted


class Missed(Exception):
    """The fault could not be brought about as meant, so nothing was tested."""


class NotEnded(Exception):
    """Accepted work did not end in the time that this fault leaves it."""


@dataclass
class Tools:
    """What faults work with."""

    cluster: Cluster
    ledger: Ledger
    crowd: Crowd
    caller: Caller
    limited: Caller  # of the owner whose waiting rows have a limit
    rng: random.Random
    notes: list[str] = field(default_factory=list)  # observations for the report
    # What shall hold once everything has recovered; raise AssertionError where it does not.
    verifications: list[Callable[[], None]] = field(default_factory=list)

    def submit(self, ask: Ask, caller: Caller | None = None) -> str:
        """Submit and insist on being accepted."""
        job_id = (caller or self.caller).submit(ask, _ACCEPTED_SECONDS)
        if job_id is None:
            raise Missed(f"the ask that this fault needs was not accepted: {ask}")
        return job_id

    def plan(self, job_id: str, seconds: float = 30, *, beyond: int = 0) -> tuple[int, int, int]:
        """The process id of the planner that is in the midst of this job, the fence, and the rows planned so far.

        Waits until more than `beyond` rows are planned.
        """
        found: list[tuple[str, int, int]] = []

        def planning() -> bool:
            found[:] = self.cluster.query(_PLANNING, [job_id, beyond])
            return bool(found)

        try:
            wait_for(planning, seconds, f"a planner in the midst of {job_id}")
        except TimeoutError as error:
            raise Missed(str(error)) from None
        worker, fence, rows = found[0]
        return int(worker.rpartition("/")[2]), fence, rows

    def wait_status(self, job_id: str, *statuses: str, seconds: float = 40) -> None:
        """Wait until the job has one of these statuses."""
        query = "SELECT status FROM predictq.job_status WHERE job_id = %s"
        try:
            wait_for(lambda: self.cluster.query(query, [job_id])[0][0] in statuses, seconds, f"{job_id} {statuses}")
        except TimeoutError as error:
            raise Missed(str(error)) from None

    def holder(self, job_id: str, seconds: float = 40) -> tuple[int, int]:
        """The process id of the pool process that holds a batch of the job, and its fence; waits for one."""
        found: list[tuple[str, int]] = []

        def held() -> bool:
            found[:] = self.cluster.query(_HELD, [job_id])
            return bool(found)

        try:
            wait_for(held, seconds, f"a claim on {job_id}")
        except TimeoutError as error:
            raise Missed(str(error)) from None
        worker, fence = found[0]
        return int(worker.rpartition("/")[2]), fence

    def counts(self) -> Counter[str]:
        """So far: `batches` that do not wait any more, messages `sent_again` by sweepers, those `delivered`."""
        cluster = self.cluster
        batches = int(cluster.query(_NOT_WAITING)[0][0])
        return Counter(batches=batches, sent_again=cluster.sent_again.count, delivered=cluster.deliveries.count)

    def hold(self, seconds: float) -> None:
        """Let the fault last."""
        pause(seconds)


_NOT_WAITING = """
SELECT (SELECT count(*) FROM predictq.batch_requests)
     - (SELECT count(*) FROM predictq.prediction_batches WHERE status = 'queued' AND queue <> 'plan')
"""
_HELD = """
SELECT b.worker, b.fence FROM predictq.prediction_batches b
JOIN predictq.jobs j ON j.id = b.job_id OR j.batch_id = b.id
WHERE b.queue <> 'plan' AND j.id = %s AND b.status = 'running' AND b.lease_until > clock_timestamp()
ORDER BY b.id LIMIT 1
"""


_PLANNING = """
SELECT worker, fence, planned_rows FROM predictq.prediction_batches
WHERE job_id = %s AND queue = 'plan' AND status = 'running' AND planned_rows > %s AND lease_until > clock_timestamp()
"""


@dataclass(frozen=True)
class Fault:
    """Injected when `run(tools)` is entered, healed when it is left.

    `cuts_callers`: callers cannot reach a gateway meanwhile, so that they see time-outs is no fault of the service.
    `mixable`: may be one of a random schedule.
    """

    name: str
    run: Callable[[Tools], AbstractContextManager[None]]
    cuts_callers: bool = False
    mixable: bool = True
    obstacle: Callable[[], str | None] = lambda: None  # why it cannot run on this machine
