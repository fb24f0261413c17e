"""Faults, each with workers of its own: death, stop, poison, restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from devstack.servers.postgres import EmbeddedPostgres
from devstack.servers.redis import EmbeddedRedis
from shared.config import Settings
from shared.jobs.trace import read_trace
from shared.postgres.engine import autocommit, make_engine, transaction
from sql.migrate import upgrade
from tests.integration.worker.delivery_support import (
    PATIENCE,
    assert_right,
    batch_states,
    kill_all,
    metrics_directories,
    pool_processes,
    quick,
    tree,
    wait_until_claimed,
)
from tests.models import SlowModel, TestModel
from tests.roles import give_roles
from tests.sample import create_clients_table
from tests.support import (
    OWNER,
    add_clients,
    add_model,
    change_client,
    job_of,
    publish,
    stop,
    submit_bulk,
    submit_singles,
    wait_for_job,
    wait_until,
    worker_process,
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary directory of the test's own: any worker that starts in the same one clears what killed ones left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def eager(database_url: str, redis_url: str) -> Settings:
    """Settings of one test."""
    return quick(database_url, redis_url)


# Faults, each with workers of its own.


def test_dead_processes_are_made_up_for(eager: Settings, engine: Engine) -> None:
    """A killed pool process, then a whole worker killed mid-batch: another answers, with a newer fence."""
    add_clients(engine, 40)
    add_model(engine, SlowModel(seconds=0.4))
    client_ids = list(range(1, 41))
    accepted = submit_bulk(engine, client_ids, batch_rows=5)
    publish(eager, accepted)
    with worker_process(eager, concurrency=1, name="first") as first:
        wait_until_claimed(engine, accepted)
        pool_processes(first.pid)[0].kill()
        wait_until(
            lambda: any(attempts == 2 for _, attempts in batch_states(engine, accepted)),
            seconds=PATIENCE,
            what="a retry",
        )
        kill_all(tree(first.pid))
        assert metrics_directories(first.pid)
    first.wait()
    with worker_process(eager, concurrency=2, name="second"):
        wait_for_job(engine, accepted.job_id, seconds=PATIENCE)
    assert_right(engine, accepted, client_ids)
    assert not metrics_directories(first.pid), "the next worker clears what a killed one left"


def test_a_stopped_worker_is_fenced_off(eager: Settings, engine: Engine) -> None:
    """A worker that sleeps beyond its lease and wakes commits nothing: the answers are the newer claim's."""
    add_clients(engine, 4)
    add_model(engine, SlowModel(seconds=0.5))
    accepted = submit_bulk(engine, [1, 2, 3, 4], batch_rows=4)
    publish(eager, accepted)
    with worker_process(eager, name="sleeper") as sleeper:
        wait_until_claimed(engine, accepted)
        stopped = tree(sleeper.pid)
        for process in stopped:
            process.suspend()
        with worker_process(eager, name="waker"):
            wait_for_job(engine, accepted.job_id, seconds=PATIENCE)
            for process in stopped:
                process.resume()
            (single,) = submit_singles(engine, [1])
            publish(eager, single)
            wait_for_job(engine, single.job_id, seconds=PATIENCE)
    assert_right(engine, accepted, [1, 2, 3, 4])
    with autocommit(engine) as connection:
        trace = read_trace(connection, f"{accepted.batch_ids[0]}-0", OWNER)
    assert (trace.fence, trace.attempts) == (2, 2)
    assert trace.worker is not None
    assert trace.worker.startswith("waker@")


def test_sigterm_finishes_the_batch_in_hand(eager: Settings, engine: Engine, tmp_path: Path) -> None:
    """A worker told to stop commits what it scores, takes nothing new, and leaves no process or file behind."""
    add_clients(engine, 4)
    add_model(engine, SlowModel(seconds=1.0))
    accepted = submit_bulk(engine, [1, 2, 3, 4], batch_rows=2)
    publish(eager, accepted)
    log = tmp_path / "log"
    with worker_process(eager, name="polite", log=log) as worker:
        wait_until_claimed(engine, accepted)
        processes = tree(worker.pid)
        assert metrics_directories(worker.pid)
        assert stop(worker) == 0
        assert not [process for process in processes if process.is_running()]
        assert not metrics_directories(worker.pid)
    assert sorted(batch_states(engine, accepted)) == [("finished", 1), ("queued", 0)]
    written = log.read_text()
    assert "worker starts" in written
    strange = [line for line in written.splitlines() if line and not line.startswith("{")]
    assert strange == ["worker: Warm shutdown (MainProcess)"]  # Celery writes this one past all logging
    assert "superuser" not in written


@pytest.mark.parametrize("age", [61, 62], ids=["kills", "hangs"])
def test_a_poisonous_row_costs_its_neighbours_nothing(eager: Settings, engine: Engine, age: int) -> None:
    """A row that kills or hangs the model is found by the third attempt; its neighbours and other jobs go on."""
    add_clients(engine, 6)
    add_model(engine, TestModel(poisonous=True))
    change_client(engine, 2, age=age)
    impatient = eager.model_copy(update={"batch_timeout_seconds": 1.0})
    poisoned = submit_bulk(engine, [1, 2, 3], batch_rows=3)
    healthy = submit_bulk(engine, [4, 5, 6], batch_rows=3)
    publish(impatient, poisoned)
    publish(impatient, healthy)
    with worker_process(impatient, name="victim"):
        wait_for_job(engine, healthy.job_id, seconds=PATIENCE)
        job = wait_for_job(engine, poisoned.job_id, seconds=PATIENCE)
    assert (job.succeeded, job.failed) == (2, 1)
    assert_right(engine, healthy, [4, 5, 6])
    assert batch_states(engine, poisoned) == [("finished", 3)]


def test_restarted_servers_lose_no_work(tmp_path: Path) -> None:
    """Redis, then PostgreSQL, killed and started again in the middle of work: every row is answered once."""
    with (
        EmbeddedPostgres(tmp_path / "postgres", settings={"shared_buffers": "32MB"}) as postgres,
        EmbeddedRedis(tmp_path / "redis") as redis,
    ):
        settings = quick(postgres.url, redis.url)
        engine = make_engine(settings, application_name="test")
        upgrade(engine)
        give_roles(engine)
        with transaction(engine) as connection:
            create_clients_table(connection)
        add_clients(engine, 60)
        add_model(engine, SlowModel(seconds=0.1))
        client_ids = list(range(1, 61))
        accepted = submit_bulk(engine, client_ids, batch_rows=2)
        publish(settings, accepted)
        with worker_process(settings, name="patient") as worker:
            wait_until(lambda: job_of(engine, accepted.job_id).succeeded >= 4, seconds=PATIENCE, what="some answers")
            redis.kill()
            redis.start()
            wait_until(
                lambda: job_of(engine, accepted.job_id).succeeded >= 16,
                seconds=PATIENCE,
                what="answers after Redis' restart",
            )
            engine.dispose()
            postgres.kill()
            postgres.start()
            wait_for_job(engine, accepted.job_id, seconds=PATIENCE)
            assert worker.poll() is None
        assert_right(engine, accepted, client_ids)
        engine.dispose()
        postgres.destroy()


def test_a_process_apart_ends_with_its_parent(tmp_path: Path) -> None:
    """When a worker is killed while the process apart hangs in the model, no orphan stays behind."""
    script = tmp_path / "hang.py"
    script.write_text(
        "import pyarrow as pa\n"
        "from model.artefact import build_artefact\n"
        "from tests.models import SIGNATURE, SlowModel\n"
        "from worker.scoring.isolation import IsolatedModel\n"
        "artefact = build_artefact(SlowModel(seconds=3600), SIGNATURE, 0.5, name='t')\n"
        "with IsolatedModel(artefact, rows=1, call_timeout_seconds=600) as apart:\n"
        "    print('started', flush=True)\n"
        "    row = {'age': [30], 'monthly_income': [1], 'department': ['Sales'], 'over_time': [True]}\n"
        "    apart.predict(pa.table(row))\n"
    )
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not child.is_running(), seconds=10, what="end of the process apart")
