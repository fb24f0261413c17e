"""Planning, with real planner processes: what is found, what a job says of it, how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.access.api_keys import create_key
from shared.config import Settings
from shared.errors import FenceLost
from shared.jobs.planning import PlannedPage, end_plan, fail_job, give_back_plan, read_selection, write_pages
from shared.messaging.messages import make_redis, publish_work
from shared.postgres.engine import autocommit, transaction
from shared.status import JobError, JobStatus, Queue
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.jobs.jobs_support import answer, cancel, take
from tests.integration.jobs.planning_support import (
    account,
    answer_all,
    balance_watched,
    keys_of,
    make_slow,
    plan_of,
    planner_process,
    readings,
    select,
    total_of,
    waiting_rows,
)  # fmt: skip
from tests.support import OWNER, add_clients, add_model, job_of, stop, wait_until, worker_process


@pytest.fixture(autouse=True)
def live_model(engine: Engine) -> None:
    add_model(engine)


def test_a_job_of_all_clients_gets_each_client_once_in_key_order(engine: Engine, settings: Settings) -> None:
    """Every client is planned, once; then the job knows its total, and the accounts balance in every snapshot."""
    add_clients(engine, 25_000)
    with balance_watched(engine), planner_process(settings):
        job_id = select(engine)
        assert job_of(engine, job_id).total is None
        wait_until(lambda: job_of(engine, job_id).total, what="total")
    job = job_of(engine, job_id)
    assert (job.total, job.status, job.snapshots) == (25_000, JobStatus.RUNNING, 1)
    assert keys_of(engine, job_id) == list(range(1, 25_001))
    assert answer_all(engine) in {5, 6}  # of 1,000 and 5,000 rows, or all of 5,000 where it was quick
    job = job_of(engine, job_id)
    assert (job.status, job.succeeded, account(engine).in_flight) == (JobStatus.SUCCEEDED, 25_000, 0)


def test_a_filter_selects_what_it_says(engine: Engine, settings: Settings) -> None:
    """Only clients whose columns equal the filter's values are planned."""
    add_clients(engine, 400)
    with planner_process(settings):
        job_id = select(engine, {"age": [20, 21], "over_time": True})
        wait_until(lambda: job_of(engine, job_id).total, what="total")
    assert keys_of(engine, job_id) == [n for n in range(1, 401) if n % 40 in (0, 1) and n % 2 == 0]


def test_a_job_that_selects_nobody_succeeds_with_no_rows(engine: Engine, settings: Settings) -> None:
    """Nothing selected is no error."""
    with planner_process(settings):
        job_id = select(engine, {"age": 99})
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, what="end")
    job = job_of(engine, job_id)
    assert (job.status, job.total, job.snapshots, plan_of(engine, job_id)) == (JobStatus.SUCCEEDED, 0, 1, None)
    assert account(engine).accepted == 0


def test_a_worker_plans_and_scores(engine: Engine, settings: Settings) -> None:
    """The worker program starts a planner of its own, which ends with it: a job by filter needs nothing else."""
    add_clients(engine, 3_000)
    with worker_process(settings) as worker:
        job_id = select(engine, {"over_time": True})
        with make_redis(settings) as redis:
            publish_work(redis, 1, Queue.PLAN)
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, seconds=120, what="end")
        assert stop(worker) == 0
    job = job_of(engine, job_id)
    assert (job.status, job.total, job.succeeded) == (JobStatus.SUCCEEDED, 1_500, 1_500)
    wait_until(lambda: _connections(engine, "%/planner") == 0, what="the end of the planner")


def _connections(engine: Engine, name: str) -> int:
    with engine.begin() as connection:
        return int(
            connection.execute(
                text("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE :name"), {"name": name}
            ).scalar_one()
        )


def test_a_plan_goes_on_after_its_last_key(engine: Engine, settings: Settings) -> None:
    """What another claim planned is not planned again; the job says that it was read in two snapshots."""
    add_clients(engine, 2_500)
    job_id = select(engine)
    _plan_by_hand(engine, settings, pages=2)
    with planner_process(settings):
        wait_until(lambda: job_of(engine, job_id).total, what="total")
    job = job_of(engine, job_id)
    assert (job.total, job.snapshots) == (2_500, 2)
    assert keys_of(engine, job_id) == list(range(1, 2_501))


def _plan_by_hand(engine: Engine, settings: Settings, *, pages: int) -> None:
    """Plan the first hundreds of clients of the next plan, and give the claim back."""
    held = take(engine, Queue.PLAN)
    lists = [range(100 * n + 1, 100 * n + 101) for n in range(pages)]
    made = [PlannedPage(",".join(map(str, keys)).encode(), 100, str(keys[-1])) for keys in lists]
    write_pages(engine, held, read_selection(engine, held), made, is_new_reading=True, lease=settings.lease_seconds)
    give_back_plan(engine, held)


def test_only_the_newest_claim_may_write(engine: Engine, settings: Settings) -> None:
    """A planner that was given up writes no page, ends no plan, fails no job and gives nothing back."""
    add_clients(engine, 100)
    job_id = select(engine)
    old = take(engine, Queue.PLAN, lease=0)
    selection, page = read_selection(engine, old), PlannedPage(b"1,2", 2, "2")
    newest = take(engine, Queue.PLAN)
    for act in (
        lambda: write_pages(engine, old, selection, [page], is_new_reading=True, lease=60),
        lambda: end_plan(engine, old, is_new_reading=True),
        lambda: fail_job(engine, old, JobError.PLANNING_FAILED, "it failed"),
    ):
        with pytest.raises(FenceLost):
            act()
    give_back_plan(engine, old)
    plan, job = plan_of(engine, job_id), job_of(engine, job_id)
    assert (plan.status, plan.fence, plan.planned_rows, keys_of(engine, job_id)) == ("running", newest.fence, 0, [])
    assert (job.total, job.snapshots, job.error_code) == (None, None, None)


def test_a_job_above_the_limit_fails_with_words_and_keeps_its_answers(engine: Engine, settings: Settings) -> None:
    """Open batches are cancelled, answers stay, and the job says what to do."""
    add_clients(engine, 1_000)
    job_id = select(engine)
    _plan_by_hand(engine, settings, pages=2)
    answer(engine, take(engine))
    with balance_watched(engine), planner_process(settings.model_copy(update={"max_job_rows": 999})):
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, what="end")
    job = job_of(engine, job_id)
    assert (job.status, job.total, job.succeeded, job.cancelled) == (JobStatus.FAILED, 200, 100, 100)
    assert job.error_code == "too_many_rows"
    assert "999" in str(job.error_detail)
    assert "Narrow its filter" in str(job.error_detail)
    assert waiting_rows(engine) == 0


def test_a_job_of_just_the_limit_is_planned(engine: Engine, settings: Settings) -> None:
    """The limit itself is allowed."""
    add_clients(engine, 1_000)
    with planner_process(settings.model_copy(update={"max_job_rows": 1_000})):
        job_id = select(engine)
        wait_until(lambda: job_of(engine, job_id).total == 1_000, what="total")


def test_a_cancel_in_the_middle_leaves_no_open_batch(engine: Engine, settings: Settings) -> None:
    """A planner that is at work stops, and no page comes after the cancel; it goes on with the next job."""
    add_clients(engine, 5_000)
    limited = settings.model_copy(update={"owner_max_waiting_rows": 1_000, "bulk_batch_rows": 200})
    with balance_watched(engine), planner_process(limited):
        job_id = select(engine)
        wait_until(lambda: waiting_rows(engine) >= 1_000, what="pages")
        job = cancel(engine, job_id)
        assert (job.status, job.total, job.cancelled) == (JobStatus.CANCELLED, 1_000, 1_000)
        other = select(engine, {"age": 20})
        wait_until(lambda: job_of(engine, other).total, what="the next job")
    assert len(keys_of(engine, job_id)) == 1_000
    assert len(keys_of(engine, other)) == 125


def test_cancels_at_any_moment_leave_no_open_batch(engine: Engine, settings: Settings) -> None:
    """Wherever a cancel meets the planner, what is left balances and nothing is open."""
    add_clients(engine, 20_000)
    with balance_watched(engine), planner_process(settings.model_copy(update={"bulk_batch_rows": 100})):
        for rows in (0, 1, 2_000, 6_000, 10_000):
            job_id = select(engine)
            wait_until(lambda job_id=job_id, rows=rows: len(keys_of(engine, job_id)) >= rows, what="pages")
            job = cancel(engine, job_id)
            assert job.status.is_terminal or job.total == 20_000
        last = select(engine, {"age": 20})
        wait_until(lambda: job_of(engine, last).total, what="the last job")
    answer_all(engine)
    assert (waiting_rows(engine), account(engine).in_flight) == (0, 0)


def test_a_cancel_ends_a_long_reading(engine: Engine, settings: Settings) -> None:
    """A source that is slow to give its first key is left at once."""
    add_clients(engine, 1_000)
    make_slow(engine)
    with planner_process(settings):
        job_id = select(engine)
        wait_until(lambda: readings(engine) == 1, what="the reading")
        cancel(engine, job_id)
        wait_until(lambda: readings(engine) == 0, seconds=20, what="the end of the reading")
    assert (job_of(engine, job_id).status, keys_of(engine, job_id)) == (JobStatus.CANCELLED, [])


def test_a_planner_that_is_told_to_stop_gives_its_plan_back(engine: Engine, settings: Settings) -> None:
    """Nobody waits for a lease, and the claim counts as no attempt."""
    add_clients(engine, 5_000)
    limited = settings.model_copy(update={"owner_max_waiting_rows": 1_000, "bulk_batch_rows": 200})
    with planner_process(limited) as planner:
        job_id = select(engine)
        wait_until(lambda: waiting_rows(engine) >= 1_000, what="pages")
        assert stop(planner) == 0
    plan = plan_of(engine, job_id)
    assert (plan.status, plan.lease_until, plan.attempts, plan.planned_rows) == ("queued", None, 0, 1_000)


def test_an_owner_without_room_holds_up_nobody(engine: Engine, settings: Settings) -> None:
    """Four plans of an owner at her limit, on two planners: another's goes ahead, hers go on when there is room."""
    add_clients(engine, 3_000)
    limited = settings.model_copy(update={"owner_max_waiting_rows": 1_000, "bulk_batch_rows": 500})
    with balance_watched(engine), planner_process(limited, name="p1"), planner_process(limited, name="p2"):
        jobs = [select(engine) for _ in range(4)]
        wait_until(lambda: waiting_rows(engine) >= 1_000, what="her limit")
        other = select(engine, {"age": 20}, owner="other")
        wait_until(lambda: total_of(engine, other) == 75, what="the other owner's plan")
        before, since = _claims(engine), datetime.now(UTC)
        while (datetime.now(UTC) - since).total_seconds() < 3:
            assert waiting_rows(engine) <= 1_000 + 2 * 500
        assert _claims(engine) - before <= 20, "plans without room are claimed over and over"
        plans = [plan for plan in (plan_of(engine, job) for job in jobs) if plan is not None]
        assert max(plan.attempts for plan in plans) <= 1, "to have no room is no attempt"
        wait_until(lambda: answer_all(engine) == 0 and not any(plan_of(engine, job) for job in jobs), what="all plans")
    answer_all(engine)
    for job_id in jobs:
        assert keys_of(engine, job_id) == list(range(1, 3_001))
        assert job_of(engine, job_id).status is JobStatus.SUCCEEDED


def _claims(engine: Engine) -> int:
    with engine.begin() as connection:
        return int(
            connection.execute(
                text("SELECT coalesce(sum(fence), 0) FROM predictq.prediction_batches WHERE queue = 'plan'")
            ).scalar_one()
        )


def test_a_paused_plan_is_given_back(engine: Engine, settings: Settings) -> None:
    """Without room the source is not held: after five seconds its reading ends, and the plan waits in the queue."""
    add_clients(engine, 3_000)
    limited = settings.model_copy(update={"owner_max_waiting_rows": 1_000, "bulk_batch_rows": 500})
    with planner_process(limited):
        job_id = select(engine)
        wait_until(lambda: waiting_rows(engine) >= 1_000, what="her limit")
        plan = wait_until(lambda: _queued_plan(engine, job_id), what="the claim given back")
        assert plan.attempts == 0
        with transaction(engine) as connection:
            create_key(connection, OWNER, max_waiting_rows=10_000)
        wait_until(lambda: job_of(engine, job_id).total == 3_000, what="a higher limit is seen")
    assert keys_of(engine, job_id) == list(range(1, 3_001))


def _queued_plan(engine: Engine, job_id: UUID) -> Any:
    plan = plan_of(engine, job_id)
    return plan if plan.status == "queued" else None


def test_messages_of_the_plan_queue_do_not_pile_up(engine: Engine, settings: Settings) -> None:
    """A message says only that there is a plan: a planner needs one, and clears away the others."""
    with planner_process(settings), make_redis(settings) as redis:
        publish_work(redis, 2_000, Queue.PLAN)
        wait_until(lambda: redis.llen(Queue.PLAN.value) == 0, what="an empty queue")


def test_pages_of_a_wide_source_have_fewer_rows(engine: Engine, settings: Settings) -> None:
    """Of a selection and of a list alike: by the width that was measured."""
    add_clients(engine, 250)
    with transaction(engine) as connection:
        measured = json.dumps({"column_bytes": {"age": 40_000, "department": 40_000, "another": 10**9}})
        connection.execute(text("UPDATE predictq.sources SET measured = CAST(:m AS jsonb)"), {"m": measured})
    with planner_process(settings), running_gateway(settings, new_key(engine, "ann")) as gateway:
        selected = gateway.post("/v1/jobs", json={"all": True})
        listed = gateway.post("/v1/jobs", json={"client_ids": list(range(1, 251))})
        jobs = [UUID(answer.headers["location"].rpartition("/")[2]) for answer in (selected, listed)]
        wait_until(lambda: plan_of(engine, jobs[0]) is None, what="the job is planned")
    for job_id in jobs:
        with autocommit(engine) as connection:
            query = "SELECT request_count FROM predictq.batch_requests WHERE job_id = :id ORDER BY batch_id"
            assert list(connection.execute(text(query), {"id": job_id}).scalars()) == [100, 100, 50]
