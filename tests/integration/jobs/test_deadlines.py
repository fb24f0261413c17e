"""Deadlines of jobs: what is answered by then stays, the rest ends in an error that says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.erasure.find import hashed_pages
from shared.jobs.accepting.bulk import accept_keys, accept_selection
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.deadlines import late_jobs, read_taken, take_late
from shared.jobs.records import JobRecord
from shared.jobs.summary import read_summary
from shared.postgres.engine import autocommit, transaction
from shared.sources.source import read_source
from shared.status import JobStatus, Queue
from tests.integration.jobs.jobs_support import answer, cancel, take
from tests.integration.jobs.planning_support import account, plan_of
from tests.roles import as_upkeep, as_worker
from tests.support import bulk_job, job_of, wait_until
from worker.scoring.key_hashes import KeyHashes
from worker.upkeep import main as upkeep
from worker.upkeep.deadlines import Deadlines
from worker.upkeep.duty import Clock, database_clock
from worker.upkeep.rounds import Rounds

SOON = timedelta(hours=1)


def submit(engine: Engine, rows: int, *, batch_rows: int = 10, within: timedelta = SOON) -> UUID:
    job = bulk_job(engine, batch_rows=batch_rows, deadline=datetime.now(UTC) + within)
    return accept_keys(engine, job, ListedIds(list(range(1, rows + 1))), rows).job_id


def run_late(engine: Engine) -> str:
    """The duty, two hours from now."""
    now = database_clock(engine)() + 2 * SOON
    return Deadlines().run(as_upkeep(engine), lambda: now)


def codes(engine: Engine, job_id: UUID) -> list[str | None]:
    """The error code of each row, in order."""
    with autocommit(engine) as connection:
        query = text("SELECT error_code FROM predictq.prediction_outputs WHERE job_id = :id "
                     "ORDER BY batch_id, row_number")  # fmt: skip
        return list(connection.execute(query, {"id": job_id}).scalars())


def assert_ended(engine: Engine, job_id: UUID, status: JobStatus, *, succeeded: int, failed: int) -> JobRecord:
    job = job_of(engine, job_id)
    assert (job.status, job.succeeded, job.failed, job.cancelled) == (status, succeeded, failed, 0)
    assert job.error_code == "deadline_passed"
    assert job.finished_at is not None
    return job


def test_answers_in_time_stay_and_the_rest_ends(ready: Engine) -> None:
    """One batch of three is answered, one is at work and one waits: two end in `deadline_passed`, and no worker's
    answer comes after that.
    """
    job_id = submit(ready, 30)
    answer(ready, take(ready))
    held = take(ready)
    assert run_late(ready) == "20 rows of 1 job were not answered by their deadline"
    job = assert_ended(ready, job_id, JobStatus.SUCCEEDED, succeeded=10, failed=20)
    assert str(job.error_detail).startswith("not answered by the deadline, 20")
    assert codes(ready, job_id) == [None] * 10 + ["deadline_passed"] * 20
    assert answer(ready, held) is None
    assert run_late(ready) == ""
    assert account(ready).imbalance == 0


def test_a_job_without_any_answer_has_failed(ready: Engine) -> None:
    """By its answers: there is none."""
    job_id = submit(ready, 5)
    run_late(ready)
    assert_ended(ready, job_id, JobStatus.FAILED, succeeded=0, failed=5)


def test_no_deadline_waits_for_a_long_duty(ready: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure or a retention may take minutes: what is due every second is done beside it."""
    begun, released, stopped = threading.Event(), threading.Event(), threading.Event()

    class Long:
        name = "long"
        every_seconds = 3600.0

        def run(self, engine: Engine, clock: Clock) -> str:
            begun.set()
            assert released.wait(120)
            return ""

    class FailsAtFirst(Rounds):
        fails = True

        def run_due(self, is_stopped: Callable[[], bool] = lambda: False) -> list[str]:
            if FailsAtFirst.fails and threading.current_thread().name == "prompt-duties":
                FailsAtFirst.fails = False
                raise RuntimeError("a fault of its own ends no thread")
            return super().run_due(is_stopped)

    monkeypatch.setattr(upkeep, "long_duties", lambda _: [Long()])
    monkeypatch.setattr(upkeep, "Rounds", FailsAtFirst)
    thread = threading.Thread(target=upkeep.run, args=(settings.as_role(DatabaseRole.UPKEEP), stopped))
    thread.start()
    try:
        assert begun.wait(60)
        job = submit(ready, 20, within=timedelta(seconds=1))
        wait_until(lambda: job_of(ready, job).error_code == "deadline_passed", what="the deadline is seen to")
        assert not FailsAtFirst.fails
    finally:
        released.set()
        stopped.set()
        thread.join()


def test_before_its_deadline_and_after_its_end_a_job_is_left_alone(ready: Engine) -> None:
    """Neither one that is early, nor one that has none, nor one that ended in time."""
    ended = submit(ready, 10)
    answer(ready, take(ready))
    early = submit(ready, 10)
    without = accept_keys(ready, bulk_job(ready), ListedIds([1]), 1).job_id
    assert Deadlines().run(ready, database_clock(ready)) == ""
    assert [job_of(ready, job).status for job in (ended, early, without)] == ["succeeded", "queued", "queued"]
    run_late(ready)
    assert job_of(ready, ended).error_code is None
    assert job_of(ready, without).status is JobStatus.QUEUED


def test_a_plan_stops(ready: Engine) -> None:
    """A selection that nobody has planned ends without rows, and its planner writes no page any more."""
    job = bulk_job(ready, deadline=datetime.now(UTC) + SOON)
    job_id = accept_selection(ready, job, {}).job_id
    take(ready, Queue.PLAN)
    run_late(ready)
    assert plan_of(ready, job_id) is None
    assert_ended(ready, job_id, JobStatus.FAILED, succeeded=0, failed=0)
    assert job_of(ready, job_id).total == 0


def test_a_cancel_comes_first(ready: Engine) -> None:
    """A job that its owner has cancelled is cancelled, and its rows are."""
    job_id = submit(ready, 10)
    cancel(ready, job_id)
    assert run_late(ready) == ""
    assert job_of(ready, job_id).status is JobStatus.CANCELLED


def test_what_a_cancel_takes_on_the_way_is_cancelled(ready: Engine) -> None:
    """Between the claim of a late job and its end its owner may still cancel: nothing is written twice."""
    job_id = submit(ready, 10)
    with transaction(ready) as connection:
        (late,) = late_jobs(connection, database_clock(ready)() + 2 * SOON)
        taken = take_late(connection, late, lease_seconds=60)
    assert cancel(ready, job_id).status is JobStatus.CANCELLED
    with autocommit(ready) as connection:
        assert read_taken(connection, taken) == []


def test_a_run_that_was_killed_is_done_again(ready: Engine) -> None:
    """Whatever was claimed and not ended is claimed anew."""
    job_id = submit(ready, 20)
    with transaction(ready) as connection:
        (late,) = late_jobs(connection, database_clock(ready)() + 2 * SOON)
        take_late(connection, late, lease_seconds=60)
    run_late(ready)
    assert_ended(ready, job_id, JobStatus.FAILED, succeeded=0, failed=20)


@pytest.mark.parametrize("rows", [5, 100])
def test_a_client_is_found_in_such_a_page(ready: Engine, rows: int) -> None:
    """By hash where the page is small, by its filter from 64 rows on: erasure and export look there."""
    submit(ready, rows, batch_rows=100)
    run_late(ready)
    with autocommit(ready) as connection:
        source = read_source(connection, "clients")
        (wanted,) = KeyHashes(as_worker(ready))(np.array([3], np.int64), source.id).tolist()
        assert len(hashed_pages(connection, wanted)) == 1


def test_what_a_deadline_ended_is_no_workers_doing(ready: Engine) -> None:
    """Neither in the rate of the job nor among the shares of its workers, even where a worker held the batch."""
    job_id = submit(ready, 10)
    take(ready)
    run_late(ready)
    with autocommit(ready) as connection:
        found = read_summary(connection, job_id)
    assert job_of(ready, job_id).failed == 10
    assert (found.rows_per_second, found.workers) == (None, [])
