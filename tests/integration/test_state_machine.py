"""The life of jobs and batches, driven at random against the real schema, beside a model of it in plain Python."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as profile
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, text
from uuid_utils.compat import uuid7

from shared.batches.claims import Claim, Counts, claim, extend_lease, finish, record_failure
from shared.batches.sweep import sweep
from shared.errors import FenceLost
from shared.jobs.accept_bulk import BulkJob, accept_ids
from shared.jobs.accept_singles import Accepted, SingleJob, accept_singles
from shared.jobs.records import JobRecord, read_jobs
from shared.postgres.engine import autocommit, transaction
from shared.postgres.tables import REQUESTS_PER_BATCH
from shared.status import Queue
from tests.integration.jobs_support import cancel, insert_outputs
from tests.integration.state_machine_support import Batch, Crash, Job, close, end_lease, end_pauses
from tests.support import add_clients, add_model

CHOICE = st.integers(0, 10_000)


class Life(RuleBasedStateMachine):
    """Gateways, workers, sweepers and callers, one step at a time."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.owner = str(uuid7())
        self.jobs: dict[UUID, Job] = {}
        self.batches: dict[int, Batch] = {}
        self.claims: list[Claim] = []
        self.outputs: dict[int, tuple[int, str | None]] = {}  # fence and error code by request id
        self.ended: dict[UUID, JobRecord] = {}

    @initialize()
    def start_with_work(self) -> None:
        self.accept_singles(2)
        self.accept_bulk(3, 2)

    @rule(count=st.integers(1, 3))
    def accept_singles(self, count: int) -> None:
        asked = [SingleJob(uuid7(), self.owner, number) for number in range(1, count + 1)]
        with autocommit(self.engine) as connection:
            accepted = accept_singles(connection, asked, grace_seconds=0)
        requests = []
        for answer in accepted:
            assert isinstance(answer, Accepted)
            assert answer.request_id is not None
            requests.append(answer.request_id)
            self.jobs[answer.job_id] = Job("single", list(answer.batch_ids), [answer.request_id])
        self.batches[requests[0] // REQUESTS_PER_BATCH] = Batch(requests)

    @rule(count=st.integers(1, 5), batch_rows=st.integers(1, 3))
    def accept_bulk(self, count: int, batch_rows: int) -> None:
        asked = BulkJob(uuid7(), self.owner, batch_rows, grace_seconds=0)
        accepted = accept_ids(self.engine, asked, range(count), count)
        left = count
        for batch_id in accepted.batch_ids:
            first = batch_id * REQUESTS_PER_BATCH
            self.batches[batch_id] = Batch(list(range(first, first + min(left, batch_rows))))
            left -= batch_rows
        requests = [request for batch_id in accepted.batch_ids for request in self.batches[batch_id].requests]
        self.jobs[accepted.job_id] = Job("bulk", list(accepted.batch_ids), requests)

    def _pick(self, choice: int) -> tuple[int, Batch]:
        batch_id = list(self.batches)[choice % len(self.batches)]
        return batch_id, self.batches[batch_id]

    @rule(choice=CHOICE)
    def claim_batch(self, choice: int) -> None:
        """Any message, also one that was delivered before."""
        batch_id, batch = self._pick(choice)
        claimable = batch.status == "queued" or (batch.status == "running" and not batch.lease_runs)
        held = claim(self.engine, batch_id, worker="w", lease_seconds=600)
        assert (held is not None) == claimable
        if held is not None:
            batch.status, batch.lease_runs, batch.fence = "running", True, batch.fence + 1
            assert (held.fence, held.attempt, held.request_count) == (batch.fence, batch.fence, len(batch.requests))
            self.claims.append(held)

    @rule(choice=CHOICE)
    def lease_runs_out(self, choice: int) -> None:
        batch_id, batch = self._pick(choice)
        end_lease(self.engine, batch_id)
        batch.lease_runs = False

    def _held(self, choice: int) -> tuple[Claim, Batch, bool]:
        """Any claim that was ever given, and whether it still counts."""
        held = self.claims[choice % len(self.claims)]
        batch = self.batches[held.batch_id]
        return held, batch, batch.status == "running" and batch.fence == held.fence

    @precondition(lambda self: self.claims)
    @rule(choice=CHOICE)
    def extend(self, choice: int) -> None:
        held, batch, counts = self._held(choice)
        if not counts:
            with pytest.raises(FenceLost):
                extend_lease(self.engine, held, lease_seconds=600)
            return
        extend_lease(self.engine, held, lease_seconds=600)
        batch.lease_runs = True

    @precondition(lambda self: self.claims)
    @rule(choice=CHOICE)
    def give_back(self, choice: int) -> None:
        held, batch, counts = self._held(choice)
        record_failure(self.engine, held, "no luck", retry_after_seconds=0)
        if counts:
            batch.lease_runs = False

    @precondition(lambda self: self.claims)
    @rule(choice=CHOICE, errors=st.integers(1, 3), crash=st.booleans())
    def finish_batch(self, choice: int, errors: int, crash: bool) -> None:
        """By the holder or by a zombie; every `errors`-th request comes out as an error."""
        held, batch, counts = self._held(choice)
        written: dict[int, str | None] = {}  # error codes

        def write(connection: Connection, cancelled: frozenset[int]) -> Counts:
            assert cancelled == batch.cancelled
            for request in batch.requests:
                if request not in cancelled:
                    written[request] = "model_failed" if request % errors == 0 else None
            insert_outputs(connection, held, written)
            if crash:
                raise Crash
            failed = sum(code is not None for code in written.values())
            return Counts(len(written) - failed, failed)

        if not counts or crash:
            with pytest.raises(Crash if counts else FenceLost):
                finish(self.engine, held, write)
            return
        finish(self.engine, held, write)
        batch.status = "finished"
        self.outputs |= {request: (held.fence, code) for request, code in written.items()}

    @rule()
    def sweep_all(self) -> None:
        """With an empty queue and all pauses over, exactly what nobody works on is dispatched again."""
        end_pauses(self.engine, self.batches)
        found = sweep(self.engine, dict.fromkeys(Queue), pause_seconds=0.001)
        waiting = {
            batch_id: "lost" if batch.status == "queued" else "expired"
            for batch_id, batch in self.batches.items()
            if batch.status == "queued" or (batch.status == "running" and not batch.lease_runs)
        }
        mine = {item.batch_id: item.reason for item in found if item.batch_id in self.batches}
        assert mine == waiting

    @rule(choice=CHOICE)
    def cancel(self, choice: int) -> None:
        job_id = list(self.jobs)[choice % len(self.jobs)]
        job = self.jobs[job_id]
        cancel(self.engine, job_id, self.owner)
        batches = [self.batches[batch_id] for batch_id in job.batches]
        open_batches = [batch for batch in batches if batch.status in ("queued", "running")]
        if job.cancelled or not open_batches:
            return
        job.cancelled = True
        if job.kind == "bulk":
            for batch in open_batches:
                batch.status = "cancelled"
            return
        (batch,) = open_batches
        batch.cancelled |= set(job.requests)
        if batch.status == "queued" and len(batch.cancelled) == len(batch.requests):
            batch.status = "cancelled"

    @invariant()
    def outputs_are_the_ones_committed(self) -> None:
        """One output per request at most, by the newest fence, and none that nobody asked for."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text("""SELECT o.request_id, o.fence, o.error_code FROM prediction_outputs o
                        WHERE batch_of(o.request_id) = ANY(:ids)"""),
                {"ids": list(self.batches)},
            ).all()
        found = {row.request_id: (row.fence, row.error_code) for row in rows}
        assert len(found) == len(rows)
        assert found == self.outputs
        for request, (fence, _) in found.items():
            assert fence == self.batches[request // REQUESTS_PER_BATCH].fence

    @invariant()
    def jobs_add_up(self) -> None:
        """Accepted = succeeded + failed + cancelled + in flight, and what has ended never changes."""
        with transaction(self.engine) as connection:
            records = read_jobs(connection, list(self.jobs))
        assert set(records) == set(self.jobs)
        for job_id, record in records.items():
            job = self.jobs[job_id]
            codes = [self.outputs[request][1] for request in job.requests if request in self.outputs]
            assert record.total == len(job.requests)
            assert (record.succeeded, record.failed) == (codes.count(None), len(codes) - codes.count(None))
            assert record.cancelled == (len(job.requests) - len(codes) if job.cancelled else 0)
            assert record.status == self._status(job, codes)
            assert (record.finished_at is not None) == record.status.is_terminal
            if record.status.is_terminal:
                assert self.ended.setdefault(job_id, record) == record or job.kind == "single"
                assert self.ended[job_id].status == record.status

    def _status(self, job: Job, codes: list[Any]) -> str:
        if job.cancelled:
            return "cancelled"
        if len(codes) == len(job.requests):
            return "succeeded" if None in codes else "failed"
        return "running" if any(self.batches[batch_id].fence for batch_id in job.batches) else "queued"

    def teardown(self) -> None:
        """Leave nothing for the next example's sweeps."""
        for job_id in self.jobs:
            cancel(self.engine, job_id, self.owner)
        for batch_id in self.batches:
            close(self.engine, batch_id)


def test_no_history_breaks_the_promises(engine: Engine) -> None:
    """In whatever order gateways, workers, zombies, sweepers and cancels act: one answer or stated error per row,
    from the newest claim; counts that add up; ends that are final.
    """
    add_model(engine)
    add_clients(engine, 5)
    run_state_machine_as_test(
        lambda: Life(engine),  # type: ignore[arg-type]  # any factory will do
        settings=profile(
            max_examples=15,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
