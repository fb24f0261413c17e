"""Planning while things break: planners that are killed, a source that is locked, slow or gone, Redis away."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError

from shared.access.api_keys import create_key
from shared.config import Settings
from shared.postgres.engine import autocommit, transaction
from shared.status import JobStatus
from shared.watching.attention import refusing_sources
from tests.integration.jobs.jobs_support import answer, cancel, take
from tests.integration.jobs.planning_support import (
    answer_all,
    balance_watched,
    end_readings,
    keys_of,
    make_quick,
    make_slow,
    plan_of,
    planner_process,
    readings,
    select,
    waiting_rows,
)  # fmt: skip
from tests.support import OWNER, ROOT, add_clients, add_model, environment, job_of, wait_until
from worker.planning.failures import planning_failure, source_failure


@pytest.fixture(autouse=True)
def live_model(engine: Engine) -> None:
    add_model(engine)


@pytest.mark.parametrize("planners", [1, 2])
def test_killed_planners_lose_no_key_and_plan_none_twice(engine: Engine, settings: Settings, planners: int) -> None:
    """Whoever has the plan is killed in the middle, several times; another goes on when the lease is over."""
    add_clients(engine, 10_000)
    limited = settings.model_copy(update={"owner_max_waiting_rows": 2_000, "bulk_batch_rows": 500})
    job_id, kills = select(engine), 0
    with balance_watched(engine), ExitStack() as running:
        there = [running.enter_context(planner_process(limited)) for _ in range(planners)]
        while wait_until(lambda: _is_paused_or_over(engine, job_id), seconds=60, what="pages") == "paused":
            kills += _kill_whoever_plans(engine, job_id, there)
            there.append(running.enter_context(planner_process(limited)))
            answer_all(engine)
        answer_all(engine)
    assert kills >= 3
    assert keys_of(engine, job_id) == list(range(1, 10_001))
    job = job_of(engine, job_id)
    assert (job.status, job.total) == (JobStatus.SUCCEEDED, 10_000)
    assert job.snapshots is not None
    assert job.snapshots > 1


def _is_paused_or_over(engine: Engine, job_id: UUID) -> str | None:
    plan = plan_of(engine, job_id)
    if plan is None:
        return "over"
    return "paused" if plan.status == "running" and waiting_rows(engine) >= 2_000 else None


def _kill_whoever_plans(engine: Engine, job_id: UUID, planners: list[subprocess.Popen[bytes]]) -> int:
    plan = plan_of(engine, job_id)
    found = [planner for planner in planners if plan is not None and plan.worker.endswith(f"/{planner.pid}")]
    for planner in found:
        planner.kill()
        planner.wait()
    return len(found)


def test_a_locked_source_costs_no_attempt(engine: Engine, settings: Settings) -> None:
    """An open ALTER TABLE is waited for, however often the plan meets it; the reason stands in the plan's row."""
    add_clients(engine, 500)
    with planner_process(settings.model_copy(update={"max_attempts": 2})):
        with engine.connect() as other:
            _lock(other)
            job_id = select(engine)
            wait_until(lambda: _probes(engine) >= 3, seconds=60, what="the third look at the locked source")
            assert "locked" in plan_of(engine, job_id).last_error
            assert plan_of(engine, job_id).attempts == 0
            assert job_of(engine, job_id).status is JobStatus.RUNNING
            other.rollback()
        wait_until(lambda: job_of(engine, job_id).total == 500, what="total")
    assert job_of(engine, job_id).error_code is None
    assert _probes(engine) == 0


def test_a_source_that_stays_locked_ends_the_job(engine: Engine, settings: Settings) -> None:
    """Once it has been away for too long, its jobs end with that word."""
    add_clients(engine, 1)
    with planner_process(settings.model_copy(update={"patience_seconds": 1})), engine.connect() as other:
        _lock(other)
        job_id = select(engine)
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, what="end")
        assert job_of(engine, job_id).error_code == "source_unavailable"
        other.rollback()


def test_a_selection_that_cannot_be_read_fails_its_job_alone(engine: Engine, settings: Settings) -> None:
    """The planner goes on to the jobs of others."""
    bad = select(engine)
    with transaction(engine) as connection:
        query = "UPDATE predictq.jobs SET selection = jsonb_build_object('no', 'filter') WHERE id = :id"
        connection.execute(text(query), {"id": bad})
    with planner_process(settings.model_copy(update={"max_attempts": 2})):
        good = select(engine)
        wait_until(lambda: job_of(engine, good).total == 0 and job_of(engine, bad).status.is_terminal, what="both")
    assert job_of(engine, bad).error_code == "planning_failed"


def _lock(connection: Connection) -> None:
    """Alter the source's table, for as long as the transaction is open."""
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    connection.execute(text("ALTER TABLE predictq_data.clients ADD COLUMN later integer"))


def _probes(engine: Engine) -> int:
    """How often the source was found away since it answered last."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT probes FROM predictq.sources")).scalar_one())


def test_a_plan_that_never_succeeds_ends_its_job(engine: Engine, settings: Settings) -> None:
    """After the last attempt the job fails with its error; what is open is cancelled; the planner goes on."""
    add_clients(engine, 100)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq_data.clients RENAME TO gone"))
    with balance_watched(engine), planner_process(settings.model_copy(update={"max_attempts": 2})):
        job_id = select(engine)
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, what="end")
        job = job_of(engine, job_id)
        assert (job.status, job.error_code, job.total) == (JobStatus.FAILED, "planning_failed", 0)
        assert job.error_detail == (
            'The source clients cannot be read: UndefinedTable: relation "predictq_data.clients" does not exist. '
            "An admin sees what to do with: predictq sources check clients"
        )
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE predictq_data.gone RENAME TO clients"))
        other = select(engine)
        wait_until(lambda: job_of(engine, other).total == 100, what="the next job")


def test_a_right_that_was_taken_away_is_told_with_what_helps(engine: Engine, settings: Settings) -> None:
    """The command that prints the GRANT, and not PostgreSQL's words alone."""
    add_clients(engine, 100)
    with engine.begin() as connection:
        connection.execute(text("REVOKE ALL ON predictq_data.clients FROM predictq_worker"))
    with planner_process(settings.model_copy(update={"max_attempts": 2})):
        job_id = select(engine)
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, what="end")
        assert refusing(engine) == ["clients"]
        with engine.begin() as connection:
            connection.execute(text("GRANT SELECT ON predictq_data.clients TO predictq_worker"))
        other = select(engine)
        wait_until(lambda: job_of(engine, other).total == 100, what="the next job")
        wait_until(lambda: refusing(engine) == [], what="the source to be read")
    assert job_of(engine, job_id).error_detail == (
        "The source clients cannot be read: InsufficientPrivilege: permission denied for table clients. "
        "An admin sees what to do with: predictq sources check clients"
    )


def refusing(engine: Engine) -> list[str]:
    """The sources that doctor and screens name."""
    with autocommit(engine) as connection:
        return [need.about["source"] for need in refusing_sources(connection)]


def test_the_words_of_a_failure_hold_no_value(engine: Engine) -> None:
    """PostgreSQL quotes the value that it could not read: it may be a client's key, and must not stand in a job."""
    with engine.connect() as connection, pytest.raises(DataError) as refused:
        connection.execute(text("SELECT CAST('secret' AS integer)"))
    assert "secret" in str(refused.value)
    failures = planning_failure(refused.value), source_failure("clients", refused.value)
    assert {str(failure) for failure in failures} == {"InvalidTextRepresentation (SQLSTATE 22P02)"}


def test_a_plan_that_kills_its_planners_ends_its_job(engine: Engine, settings: Settings) -> None:
    """Claims that ended without a word count as attempts, too: a plan is not tried for ever."""
    add_clients(engine, 100)
    job_id = select(engine)
    with engine.begin() as connection:
        connection.execute(
            text("""UPDATE predictq.prediction_batches SET status = 'running', fence = 3, attempts = 3, worker = 'w',
                    lease_until = now()""")
        )
    with planner_process(settings):
        wait_until(lambda: job_of(engine, job_id).status.is_terminal, what="end")
    job = job_of(engine, job_id)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "planning_failed")
    assert "3 attempts" in str(job.error_detail)


def test_planning_goes_on_without_redis(engine: Engine, settings: Settings) -> None:
    """Redis wakes planners and workers sooner; nothing depends on it."""
    add_clients(engine, 2_000)
    without = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    with planner_process(without):
        for _ in range(2):
            job_id = select(engine)
            wait_until(lambda job_id=job_id: job_of(engine, job_id).total == 2_000, what="total")


def test_a_lost_connection_to_the_source_costs_an_attempt(engine: Engine, settings: Settings) -> None:
    """A reading that is cut off is tried again."""
    add_clients(engine, 1_000)
    make_slow(engine)
    with planner_process(settings):
        job_id = select(engine)
        wait_until(lambda: end_readings(engine) == 1, what="the reading")
        wait_until(lambda: "does not answer" in (plan_of(engine, job_id).last_error or ""), what="the failed attempt")
        wait_until(lambda: readings(engine) == 1, what="another reading")
        end_readings(engine)
        make_quick(engine)
        wait_until(lambda: job_of(engine, job_id).total == 1_000, what="total")


def test_a_full_spool_lets_go_of_the_source_and_keeps_what_was_read(engine: Engine, settings: Settings) -> None:
    """While pages are written slower than keys are read, the source's transaction ends after some seconds.

    The keys that were read are written without it, and a second reading goes on from there.
    """
    _make_long(engine)
    limited = settings.model_copy(
        update={"owner_max_waiting_rows": 2_000, "bulk_batch_rows": 1_000, "plan_spool_bytes": 1024 * 1024}
    )
    with balance_watched(engine), planner_process(limited):
        job_id = select(engine)
        wait_until(lambda: waiting_rows(engine) >= 2_000, what="pages")

        def is_let_go() -> bool:
            answer(engine, take(engine))  # there is room now and then: the plan is not given back
            wait_until(lambda: waiting_rows(engine) >= 2_000, what="the next page")
            return readings(engine) == 0

        wait_until(is_let_go, seconds=60, what="the end of the reading")
        plan = plan_of(engine, job_id)
        assert (plan.status, plan.fence) == ("running", 1)
        with transaction(engine) as connection:
            create_key(connection, OWNER, max_waiting_rows=10_000_000)
        wait_until(lambda: (job_of(engine, job_id).snapshots or 0) > 1, seconds=60, what="another reading")
        planned = plan_of(engine, job_id).planned_rows
        assert planned > 1024 * 1024 / 20, "what was in the spool is planned"
        cancel(engine, job_id)
    keys = keys_of(engine, job_id)
    assert keys == list(range(10**18, 10**18 + len(keys)))


def _make_long(engine: Engine) -> None:
    """Put 30 MB of keys in place of the clients: more than lies between two sockets."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq_data.clients RENAME TO true_clients"))
        connection.execute(
            text("""CREATE VIEW predictq_data.clients AS
                    SELECT n AS client_id FROM generate_series(1000000000000000000, 1000000000001500000) n""")
        )


_KEEPER = """
import time
from worker.side_process import SideProcess
keeper = SideProcess("worker.planning", "kept", label="planner")
keeper.start()
time.sleep(600)
"""


def test_a_planner_is_started_again_and_ends_with_its_worker(settings: Settings, tmp_path: Path) -> None:
    """A planner that dies is replaced; a worker that is killed leaves none behind."""
    worker = subprocess.Popen([sys.executable, "-c", _KEEPER], cwd=ROOT, env=environment(settings))
    try:
        first = wait_until(lambda: _child(worker.pid), what="a planner")
        first.kill()
        second = wait_until(lambda: _child(worker.pid, but=first.pid), what="another planner")
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: not _is_alive(second), what="its end")


def _child(parent: int, but: int | None = None) -> psutil.Process | None:
    found = [child for child in psutil.Process(parent).children() if child.pid != but and _is_alive(child)]
    return found[0] if found and "worker.planning" in found[0].cmdline() else None


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
