"""Deadlines of jobs: what is not answered by then ends with an error that says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from shared.batches.claims import Answers, Claim, finish
from shared.jobs.deadlines import DEADLINE_PASSED, LateJob, late_jobs, read_taken, take_late
from shared.postgres.engine import autocommit
from shared.retention.statements import insist_on
from shared.sentences import count_of
from worker.scoring.key_hashes import KeyHashes, found_by
from worker.sources.key_columns import keys_of, named
from worker.upkeep.duty import Clock

_LEASE_SECONDS = 300.0  # far longer than ten million rows take; after it workers may have what is left
_BATCHES_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Ends the open rows of jobs whose deadline has passed."""

    name: str = "deadlines"
    every_seconds: float = 1.0

    def run(self, engine: Engine, clock: Clock) -> str:
        """End what is late by now, and say how much that was."""
        with autocommit(engine) as connection:
            late = late_jobs(connection, clock())
        if not late:
            return ""
        hashes = KeyHashes(engine)
        rows = sum([_end(engine, job, hashes) for job in late])
        were = "was" if rows == 1 else "were"
        return f"{count_of(rows, 'row')} of {count_of(len(late), 'job')} {were} not answered by their deadline"


def _end(engine: Engine, job: LateJob, hashes: KeyHashes) -> int:
    """Returns how many rows were open. What a cancel has ended meanwhile is none of them."""
    taken = insist_on(engine, partial(take_late, job=job, lease_seconds=_LEASE_SECONDS))
    rows = 0
    for start in range(0, len(taken), _BATCHES_AT_ONCE):
        with autocommit(engine) as connection:
            claims = read_taken(connection, taken[start : start + _BATCHES_AT_ONCE])
        if claims:
            ended = finish(engine, [(held, _page(held, job.detail, hashes)) for held in claims])
            rows += sum(counts.failed for counts in ended.values())
    return rows


def _page(held: Claim, detail: str, hashes: KeyHashes) -> Answers:
    """The same error for each row. The page is found by the keys of its clients like any other."""
    count = held.request_count
    index = found_by(named(keys_of([held])), held.source_id, count, hashes)
    return Answers(
        values=f"{{{','.join(['NULL'] * count)}}}",
        threshold=None,
        error_rows=list(range(count)),
        error_codes=[DEADLINE_PASSED] * count,
        error_details=[detail] * count,
        key_filter=index.key_filter,
        key_hashes=index.key_hashes,
    )
