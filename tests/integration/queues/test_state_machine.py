"""The life of jobs and batches, driven at random against the real schema, beside a model of it in plain Python."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import psycopg2
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
from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from shared.batches.claims import Claim, claim, extend_lease, finish, record_failure
from shared.batches.row_accounting import read_row_account
from shared.batches.sweep import missing_messages
from shared.errors import FenceLost
from shared.jobs.accepting.bulk import accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.accepting.singles import Accepted, accept_singles
from shared.jobs.records import JobRecord, read_jobs
from shared.models.registry import promote_version
from shared.postgres.engine import autocommit, transaction
from shared.status import SCORING_QUEUES, JobStatus, Queue
from tests.integration.jobs.jobs_support import cancel, list_jobs, page_of
from tests.integration.queues.state_machine_support import (
    Batch,
    Job,
    Request,
    Turns,
    answer_all,
    end_leases,
    pause,
    refused_page,
)
from tests.support import add_clients, add_model, bulk_job, single_job

CHOICE = st.integers(0, 10_000)
QUEUES = st.sampled_from(SCORING_QUEUES)


class Life(RuleBasedStateMachine):
    """Gateways, workers, sweepers, callers and operators, one step at a time."""

    def __init__(self, engine: Engine, versions: tuple[int, int]) -> None:
        super().__init__()
        self.engine = engine
        self.versions = versions
        self.owners = sorted(str(uuid7()) for _ in range(2))
        self.lists = itertools.cycle(itertools.product(self.owners, JobStatus))
        self.jobs: dict[UUID, Job] = {}
        self.batches: dict[int, Batch] = {}
        self.claims: list[Claim] = []
        self.turns = Turns()
        self.paused: set[Queue] = set()
        self.outputs: dict[Request, tuple[int, str | None]] = {}  # fence and error code
        self.ended: dict[UUID, JobRecord] = {}

    @initialize()
    def start_with_work(self) -> None:
        self.promote(0)
        self.accept_singles(0, 2)
        self.accept_bulk(1, 3, 2)

    @rule(choice=st.integers(0, 1))
    def promote(self, choice: int) -> None:
        self.live = self.versions[choice]
        with transaction(self.engine) as connection:
            promote_version(connection, self.live)

    @rule(owner=st.integers(0, 1), count=st.integers(1, 3))
    def accept_singles(self, owner: int, count: int) -> None:
        asked = [single_job(self.engine, number, owner=self.owners[owner]) for number in range(1, count + 1)]
        with autocommit(self.engine) as connection:
            accepted = accept_singles(connection, asked)
        for answer in accepted:
            assert isinstance(answer, Accepted)
            assert answer.request_id is not None
            self.jobs[answer.job_id] = Job("single", self.owners[owner], list(answer.batch_ids), [answer.request_id])
            self.batches[answer.request_id.batch_id] = Batch(Queue.INTERACTIVE, "", self.live, count)

    @rule(owner=st.integers(0, 1), count=st.integers(1, 5), batch_rows=st.integers(1, 3))
    def accept_bulk(self, owner: int, count: int, batch_rows: int) -> None:
        asked = bulk_job(self.engine, owner=self.owners[owner], batch_rows=batch_rows)
        accepted = accept_keys(self.engine, asked, ListedIds(range(count)), count)
        requests: list[Request] = []
        for batch_id in accepted.batch_ids:
            rows = min(count - len(requests), batch_rows)
            self.batches[batch_id] = Batch(Queue.BULK, asked.owner, self.live, rows)
            requests += [(batch_id, row) for row in range(rows)]
        self.jobs[accepted.job_id] = Job("bulk", asked.owner, list(accepted.batch_ids), requests)

    @rule(queue=QUEUES)
    def pause_or_go_on(self, queue: Queue) -> None:
        self.paused ^= {queue}
        pause(self.engine, queue, is_paused=queue in self.paused)

    @rule(queue=QUEUES, most=st.integers(1, 3))
    def claim_work(self, queue: Queue, most: int) -> None:
        """For any message, also one too many: an expired claim alone, else what is due."""
        held = claim(self.engine, queue, worker="w", lease_seconds=600, most=most)
        claimed = [one.batch_id for one in held]
        mine = {number: batch for number, batch in sorted(self.batches.items()) if batch.queue == queue}
        expired = [number for number, batch in mine.items() if batch.is_expired]
        waiting = {number: batch for number, batch in mine.items() if batch.status == "queued"}
        if queue in self.paused:
            assert claimed == []
        elif expired:
            assert len(claimed) == 1
            assert claimed[0] in expired
        elif queue is Queue.INTERACTIVE:
            assert claimed == list(waiting)[:most]
        else:
            assert claimed == self.turns.next_of(waiting)
        for one in held:
            batch = self.batches[one.batch_id]
            batch.status, batch.lease_runs, batch.fence = "running", True, batch.fence + 1
            assert (one.fence, one.attempt, one.request_count) == (batch.fence, batch.fence, batch.rows)
        self.claims += held

    @rule(choice=CHOICE)
    def lease_runs_out(self, choice: int) -> None:
        batch_id = list(self.batches)[choice % len(self.batches)]
        end_leases(self.engine, [batch_id])
        self.batches[batch_id].lease_runs = False

    def _held(self, choice: int) -> tuple[Claim, Batch, bool]:
        """Any claim that was ever given, and whether it still counts."""
        held = self.claims[choice % len(self.claims)]
        batch = self.batches[held.batch_id]
        return held, batch, batch.is_held_by(held.fence)

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
    @rule(choices=st.lists(CHOICE, min_size=1, max_size=4), errors=st.integers(0, 3), refused=st.booleans())
    def finish_batches(self, choices: list[int], errors: int, refused: bool) -> None:
        """Several at once, by holders or by zombies; `refused`: PostgreSQL does not take the first."""
        chosen = list(dict.fromkeys(self.claims[choice % len(self.claims)] for choice in choices))
        pages = [(held, page_of(held, min(errors, held.request_count))) for held in chosen]
        counting = [held for held, _ in pages if self.batches[held.batch_id].is_held_by(held.fence)]
        if refused:
            pages[0] = (pages[0][0], refused_page(pages[0][1]))
            if pages[0][0] in counting:
                with pytest.raises(psycopg2.IntegrityError):
                    finish(self.engine, pages)
                return
        ended = finish(self.engine, pages)
        assert set(ended) == {held.batch_id for held in counting}
        for held in counting:
            batch = self.batches[held.batch_id]
            batch.status = "finished"
            codes = {row: "model_failed" if row < errors else None for row in range(batch.rows)}
            written = {row: code for row, code in codes.items() if row not in batch.cancelled}
            failed = sum(code is not None for code in written.values())
            assert (ended[held.batch_id].succeeded, ended[held.batch_id].failed) == (len(written) - failed, failed)
            self.outputs |= {(held.batch_id, row): (held.fence, code) for row, code in written.items()}

    @rule()
    def sweep_all(self) -> None:
        """Empty queues lack exactly a message for each batch that nobody works on and nothing holds back."""
        waiting = [
            batch.queue
            for batch in self.batches.values()
            if batch.queue not in self.paused and (batch.status == "queued" or batch.is_expired)
        ]
        found = missing_messages(self.engine, dict.fromkeys(SCORING_QUEUES, 0), grace_seconds=0)
        assert found == {queue: waiting.count(queue) for queue in SCORING_QUEUES}

    @rule(choice=CHOICE)
    def cancel(self, choice: int) -> None:
        job_id = list(self.jobs)[choice % len(self.jobs)]
        job = self.jobs[job_id]
        cancel(self.engine, job_id, job.owner)
        open_batches = [self.batches[batch_id] for batch_id in job.batches if self.batches[batch_id].is_open]
        if job.cancelled or not open_batches:
            return
        job.cancelled = True
        if job.kind == "bulk":
            for batch in open_batches:
                batch.status = "cancelled"
            return
        (batch,) = open_batches
        batch.cancelled |= {row for _, row in job.requests}
        if batch.status == "queued" and len(batch.cancelled) == batch.rows:
            batch.status = "cancelled"

    @invariant()
    def outputs_are_the_ones_committed(self) -> None:
        """One output per request at most, by the newest fence, of what was asked for; open or ended, never both."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text("""SELECT batch_id, row_number, fence, error_code FROM predictq.prediction_outputs
                        WHERE batch_id = ANY(:ids)"""),
                {"ids": list(self.batches)},
            ).all()
            still_open = connection.execute(text("SELECT id FROM predictq.prediction_batches")).scalars().all()
        found = {(row.batch_id, row.row_number): (row.fence, row.error_code) for row in rows}
        assert len(found) == len(rows)
        assert found == self.outputs
        assert all(fence == self.batches[batch_id].fence for (batch_id, _), (fence, _) in found.items())
        assert set(still_open) == {number for number, batch in self.batches.items() if batch.is_open}

    @invariant()
    def jobs_add_up(self) -> None:
        """Accepted = succeeded + failed + cancelled + in flight, and what has ended never changes."""
        with transaction(self.engine) as connection:
            records = read_jobs(connection, list(self.jobs))
            assert read_row_account(connection).imbalance == 0
        assert set(records) == set(self.jobs)
        for job_id, record in records.items():
            job = self.jobs[job_id]
            codes = self._codes(job)
            assert record.total == len(job.requests)
            assert (record.succeeded, record.failed) == (codes.count(None), len(codes) - codes.count(None))
            assert record.cancelled == (len(job.requests) - len(codes) if job.cancelled else 0)
            assert record.status == self._status(job)
            assert (record.finished_at is not None) == record.status.is_terminal
            if record.status.is_terminal:
                assert self.ended.setdefault(job_id, record) == record or job.kind == "single"
                assert self.ended[job_id].status == record.status

    @invariant()
    def lists_are_right(self) -> None:
        """By owner and by status, newest first: exactly the jobs that stand so. One of the lists at each step."""
        owner, status = next(self.lists)
        with transaction(self.engine) as connection:
            found = [job.job_id for job in list_jobs(connection, owner, limit=1000, status=status)]
        assert found == [
            job_id
            for job_id, job in sorted(self.jobs.items(), reverse=True)
            if job.owner == owner and self._status(job) == status
        ]

    def _codes(self, job: Job) -> list[Any]:
        return [self.outputs[request][1] for request in job.requests if request in self.outputs]

    def _status(self, job: Job) -> str:
        codes = self._codes(job)
        if job.cancelled:
            return "cancelled"
        if len(codes) == len(job.requests):
            return "succeeded" if None in codes else "failed"
        return "running" if any(self.batches[batch_id].fence for batch_id in job.batches) else "queued"

    def teardown(self) -> None:
        """Leave nothing for the next example's sweeps."""
        for queue in self.paused:
            pause(self.engine, queue, is_paused=False)
        answer_all(self.engine, self.batches)


def test_no_history_breaks_the_promises(engine: Engine) -> None:
    """In whatever order gateways, workers, zombies, sweepers, cancels and pauses act: one answer or stated error per
    row, from the newest claim; counts that add up; lists that are right; ends that are final.
    """
    versions = add_model(engine), add_model(engine)
    add_clients(engine, 5)
    run_state_machine_as_test(
        lambda: Life(engine, versions),  # type: ignore[arg-type]  # any factory will do
        settings=profile(
            max_examples=15,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
