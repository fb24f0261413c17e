"""Delivery by real workers: each row exactly one answer, whatever is lost, killed, stopped or restarted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.redis import EmbeddedRedis
from shared.accept import Accepted
from shared.config import Environment, Settings
from shared.db import autocommit, make_engine, transaction
from shared.jobs import cancel_job
from shared.results import read_results, read_trace, readable
from shared.status import JobStatus
from sql.migrate import upgrade
from tests.models import SlowModel, TestModel, right_answer
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

PATIENCE = 150  # seconds: a deadline for a machine with much else to do, no measure of speed


def quick(database_url: str, redis_url: str, **changes: object) -> Settings:
    """Settings under which recovery is quick to see."""
    values = {"lease_seconds": 1, "batch_timeout_seconds": 2, "sweep_seconds": 0.2, "dispatch_grace_seconds": 0.4}
    return Settings.model_validate(
        {
            "database_url": database_url,
            "redis_url": redis_url,
            "environment": Environment.DEVELOPMENT,
            **values,
            **changes,
        }
    )


@pytest.fixture
def eager(database_url: str, redis_url: str) -> Settings:
    """Settings of one test."""
    return quick(database_url, redis_url)


@pytest.fixture(scope="module")
def steady(
    make_database: Callable[..., str], redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Engine]]:
    """A worker of two processes that the tests of the module share; it starts before there is any model."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    settings = quick(make_database(), f"{redis_server.url.removesuffix('/0')}/1")
    engine = make_engine(settings, application_name="test", pool_size=4)
    log = tmp_path_factory.mktemp("steady") / "log"
    add_clients(engine, 500)
    with worker_process(settings, concurrency=2, name="steady", log=log):
        wait_until(lambda: "no model loaded yet" in log.read_text(), seconds=PATIENCE, what="the start without a model")
        yield settings, engine
    engine.dispose()


def _connections(engine: Engine, name: str) -> int:
    with autocommit(engine) as connection:
        query = text("""SELECT count(*) FROM pg_stat_activity
                        WHERE application_name LIKE :name AND datname = current_database()""")
        return int(connection.execute(query, {"name": f"{name}%"}).scalar_one())


def assert_right(engine: Engine, accepted: Accepted, client_ids: list[int], offset: float = 0.0) -> None:
    """Every row is there once, in order, right, and by the newest fence of its batch."""
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
        assert extent is not None
        rows = read_results(connection, accepted.job_id, end=extent.end, after=0, limit=100_000)
        stray = connection.execute(
            text("""SELECT count(*) FROM prediction_outputs o JOIN prediction_batches b ON b.id = batch_of(request_id)
                    WHERE b.job_id = :id AND o.fence <> b.fence"""),
            {"id": accepted.job_id},
        ).scalar_one()
    assert [row.client_id for row in rows] == client_ids
    for row in rows:
        n = row.client_id or 0
        department = "Sales" if n % 3 == 0 else "Research & Development"
        assert row.probability == right_answer(20 + n % 40, 1000 + n % 997, department, n % 2 == 0) + offset
    assert stray == 0


def batch_states(engine: Engine, accepted: Accepted) -> list[tuple[str, int, int]]:
    """Status, attempts and dispatches of each batch of a bulk job."""
    with autocommit(engine) as connection:
        rows = connection.execute(
            text("SELECT status, attempts, dispatches FROM prediction_batches WHERE id = ANY(:ids) ORDER BY id"),
            {"ids": list(accepted.batch_ids)},
        )
        return [(row.status, row.attempts, row.dispatches) for row in rows]


def wait_until_claimed(engine: Engine, accepted: Accepted) -> None:
    wait_until(
        lambda: any(status == "running" for status, _, _ in batch_states(engine, accepted)),
        seconds=PATIENCE,
        what="a claim",
    )


def duplicates(engine: Engine, accepted: Accepted) -> int:
    return sum(dispatches for _, _, dispatches in batch_states(engine, accepted))


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def metrics_directories(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"predictq-metrics-{pid}-*"))


# What a healthy worker does, on the shared one.


def test_a_worker_started_without_a_model_serves_the_first_one(steady: tuple[Settings, Engine]) -> None:
    """Promotion needs no restart: neither the first, nor a newer one; a job keeps its version."""
    settings, engine = steady
    client_ids = list(range(500, 0, -1))
    add_model(engine)
    first = submit_bulk(engine, client_ids, batch_rows=37)
    publish(settings, first)
    assert wait_for_job(engine, first.job_id, seconds=PATIENCE).status is JobStatus.SUCCEEDED
    pinned = submit_bulk(engine, client_ids, batch_rows=250)
    add_model(engine, TestModel(offset=0.0005))
    newer = submit_bulk(engine, client_ids, batch_rows=250)
    publish(settings, newer)
    publish(settings, pinned)
    for job in (newer, pinned):
        wait_for_job(engine, job.job_id, seconds=PATIENCE)
    assert_right(engine, first, client_ids)
    assert_right(engine, pinned, client_ids)
    assert_right(engine, newer, client_ids, offset=0.0005)
    assert pinned.model_version < newer.model_version


def test_a_message_that_was_never_sent_is_made_up_for(steady: tuple[Settings, Engine]) -> None:
    """When Redis never saw the message, the sweeper delivers: single and bulk alike."""
    _, engine = steady
    add_model(engine)
    bulk = submit_bulk(engine, [1, 2, 3], batch_rows=1)
    (single,) = submit_singles(engine, [4])
    assert wait_for_job(engine, bulk.job_id, seconds=PATIENCE).succeeded == 3
    assert wait_for_job(engine, single.job_id, seconds=PATIENCE).succeeded == 1
    assert_right(engine, bulk, [1, 2, 3])


def test_a_message_delivered_five_times_is_scored_once(steady: tuple[Settings, Engine]) -> None:
    """Repeated messages change nothing: one claim, one answer per row."""
    settings, engine = steady
    add_model(engine)
    accepted = submit_bulk(engine, list(range(1, 101)), batch_rows=10)
    for _ in range(5):
        publish(settings, accepted)
    wait_for_job(engine, accepted.job_id, seconds=PATIENCE)
    assert_right(engine, accepted, list(range(1, 101)))
    assert {attempts for _, attempts, _ in batch_states(engine, accepted)} == {1}


def test_a_lost_message_comes_back_under_steady_traffic(steady: tuple[Settings, Engine]) -> None:
    """A message lost while the queue never runs empty is sent again, though each batch takes a moment only."""
    settings, engine = steady
    add_model(engine, SlowModel(seconds=0.05))
    lost = submit_bulk(engine, [1])
    traffic: list[Accepted] = []
    with Redis.from_url(settings.redis_url.get_secret_value()) as client:

        def found() -> bool:
            waiting = int(client.llen("bulk"))
            assert waiting > 0 or len(traffic) < 2, "the test must keep the queue filled"
            if waiting < 20:
                traffic.append(submit_bulk(engine, [1] * 20, batch_rows=1))
                publish(settings, traffic[-1])
            return job_of(engine, lost.job_id).status.is_terminal

        wait_until(found, seconds=30, what="the lost batch under traffic")
    assert duplicates(engine, lost) == 1
    for accepted in traffic:
        wait_for_job(engine, accepted.job_id, seconds=PATIENCE)
    assert sum(duplicates(engine, accepted) for accepted in traffic) == 0


def test_a_single_does_not_wait_behind_a_bulk_backlog(steady: tuple[Settings, Engine]) -> None:
    """Single predictions are taken first; and a backlog older than the grace is not sent twice."""
    settings, engine = steady
    add_model(engine, SlowModel(seconds=0.1))
    backlog = submit_bulk(engine, [1] * 100, batch_rows=1)
    publish(settings, backlog)
    wait_until_claimed(engine, backlog)
    for client_id in (2, 3, 4):
        (single,) = submit_singles(engine, [client_id])
        publish(settings, single)
        wait_for_job(engine, single.job_id, seconds=PATIENCE)
        left = [status for status, _, _ in batch_states(engine, backlog)].count("queued")
        assert left > 50
    wait_for_job(engine, backlog.job_id, seconds=PATIENCE)
    assert duplicates(engine, backlog) == 0


def test_an_emptied_redis_loses_no_work(steady: tuple[Settings, Engine]) -> None:
    """FLUSHALL during a backlog: the sweeper sends what is left, and every row is answered once."""
    settings, engine = steady
    add_model(engine, SlowModel(seconds=0.05))
    client_ids = list(range(1, 61))
    backlog = submit_bulk(engine, client_ids, batch_rows=2)
    publish(settings, backlog)
    wait_until_claimed(engine, backlog)
    with Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushall()
    wait_for_job(engine, backlog.job_id, seconds=PATIENCE)
    assert_right(engine, backlog, client_ids)
    assert duplicates(engine, backlog) <= 30


def test_a_cancelled_bulk_job_ends_at_once(steady: tuple[Settings, Engine]) -> None:
    """Cancel ends a running job; its scored rows stay, and what a worker scores just then is dropped."""
    settings, engine = steady
    add_model(engine, SlowModel(seconds=0.3))
    accepted = submit_bulk(engine, list(range(1, 13)), batch_rows=2)
    publish(settings, accepted)
    wait_until(lambda: job_of(engine, accepted.job_id).succeeded >= 2, seconds=PATIENCE, what="a scored batch")
    with transaction(engine) as connection:
        job = cancel_job(connection, accepted.job_id, OWNER)
    assert job.status is JobStatus.CANCELLED
    assert job.succeeded + job.cancelled == 12
    (single,) = submit_singles(engine, [1])  # both processes are past the dropped batches when it is done
    publish(settings, single)
    wait_for_job(engine, single.job_id, seconds=PATIENCE)
    assert job_of(engine, accepted.job_id) == job


def test_a_worker_holds_few_connections(steady: tuple[Settings, Engine]) -> None:
    """Two connections per pool process and one for the sweeper are all that PostgreSQL sees of a worker."""
    _, engine = steady
    assert _connections(engine, "steady") <= 2 * 2 + 1


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
        child = psutil.Process(first.pid).children()[0]
        child.kill()
        wait_until(
            lambda: any(attempts == 2 for _, attempts, _ in batch_states(engine, accepted)),
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
        trace = read_trace(connection, accepted.batch_ids[0] * 100_000, OWNER)
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
    assert sorted(batch_states(engine, accepted)) == [("finished", 1, 0), ("queued", 0, 0)]
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
    assert batch_states(engine, poisoned)[0][1] == 3


def test_restarted_servers_lose_no_work(tmp_path: Path) -> None:
    """Redis, then PostgreSQL, killed and started again in the middle of work: every row is answered once."""
    with (
        EmbeddedPostgres(tmp_path / "postgres", settings={"shared_buffers": "32MB"}) as postgres,
        EmbeddedRedis(tmp_path / "redis") as redis,
    ):
        settings = quick(postgres.url, redis.url)
        engine = make_engine(settings, application_name="test")
        upgrade(engine)
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
        "from worker.isolation import IsolatedModel\n"
        "artefact = build_artefact(SlowModel(seconds=3600), SIGNATURE, 0.5, name='t')\n"
        "with IsolatedModel(artefact, rows=1, call_timeout_seconds=600) as apart:\n"
        "    print('started', flush=True)\n"
        "    apart.probabilities(pa.table({'age': [30]}))\n"
    )
    root = Path(__file__).parents[2]
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
