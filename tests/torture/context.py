"""What pages are held against, and what they sum up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.torture.checking.histories import Histories, Interval
from tests.torture.checking.ledger import Event
from tests.torture.checking.oracle import Oracle
from tests.torture.stored import Job, Page

CLOCK_SECONDS = 0.002  # between PostgreSQL's reading of the clock and ours

Counts = tuple[int, int, int]  # succeeded, failed, cancelled


@dataclass
class Context:
    """What is known from the run itself, and what the pages looked at so far have."""

    jobs: Mapping[str, Job]
    histories: Histories
    oracle: Oracle
    asks: Mapping[str, Event]  # by Idempotency-Key
    told: Mapping[str, Event]  # job → its end, as a caller was told it
    claims: Mapping[tuple[int, int], float]  # batch and fence → a moment at which that claim was not made yet
    erased: frozenset[int]  # clients who were erased, and that was done
    asked: dict[str, list[object]] = field(default_factory=dict)  # job → clients or features, in order
    counts: dict[str, Counts] = field(default_factory=dict)  # job → as its pages have it
    requests: int = 0
    answers: tuple[int, int] = (0, 0)  # probabilities and errors

    def add(self, job: str, asked: Sequence[object], counts: Counts) -> None:
        """Add rows of a job."""
        self.asked.setdefault(job, []).extend(asked)
        before = self.counts.get(job, (0, 0, 0))
        self.counts[job] = (before[0] + counts[0], before[1] + counts[1], before[2] + counts[2])

    def not_before(self, page: Page) -> float:
        """A moment before which the claim that won was not made, where a fault looked; else 0."""
        return self.claims.get((page.batch_id, page.fence), 0.0)

    def moments(self, page: Page) -> list[Interval]:
        """For each row when it may have been read: after the call that asked for it, and after the claim of its page.

        And before the answer was stored, and before a caller was told of it.
        """
        first = max(page.claimed, self.not_before(page)) - CLOCK_SECONDS
        last = page.answered + CLOCK_SECONDS
        if page.job_ids is None:
            return [self._narrowed(page.job_id, first, last)] * len(page.clients)
        return [self._narrowed(job, first, last) for job in page.job_ids]

    def _narrowed(self, job_id: str | None, first: float, last: float) -> Interval:
        job = self.jobs.get(job_id or "")
        ask = self.asks.get(job.key or "", {}) if job is not None else {}
        told = self.told.get(job_id or "", {})
        return max(first, ask.get("t", -math.inf)), min(last, told.get("t", math.inf))
