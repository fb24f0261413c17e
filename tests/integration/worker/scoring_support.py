"""What the scoring tests share: jobs of given features, models of any signature, a scorer at work."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Engine

from shared.jobs.accepting.singles import Accepted, accept_singles
from shared.jobs.results import readable
from shared.jobs.trace import Trace, read_trace
from shared.postgres.engine import autocommit
from shared.status import Queue
from tests.support import OWNER, read_results, single_job
from worker.scoring.scorer import Scorer


def features_of(client_id: int) -> dict[str, Any]:
    """The features that add_clients gives."""
    return {
        "age": 20 + client_id % 40,
        "monthly_income": 1000 + client_id % 997,
        "department": "Sales" if client_id % 3 == 0 else "Research & Development",
        "over_time": client_id % 2 == 0,
    }


def results(engine: Engine, accepted: Accepted) -> list[SimpleNamespace]:
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
        assert extent is not None
        rows = read_results(connection, accepted.job_id, end=extent.end)
    return [SimpleNamespace(**row) for row in rows]


def trace_of(engine: Engine, request_id: object) -> Trace:
    with autocommit(engine) as connection:
        return read_trace(connection, str(request_id), OWNER)


def submit_raw(engine: Engine, given: Sequence[dict[str, Any] | int]) -> list[Accepted]:
    """Single jobs that are accepted at once, some with features of their own and some naming clients."""
    jobs = [
        single_job(engine, item) if isinstance(item, int) else single_job(engine, None, features=json.dumps(item))
        for item in given
    ]
    with autocommit(engine) as connection:
        answers = accept_singles(connection, jobs)
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Accepted)]


def score(scorer: Scorer, queue: Queue = Queue.INTERACTIVE) -> list[str]:
    """Let the scorer work until the queue has nothing more; returns what became of each batch."""
    outcomes: list[str] = []
    while (done := scorer.work(queue)) != ["not_needed"]:
        outcomes += done
    return outcomes
