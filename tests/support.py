"""What several tests need: a live model, clients, submitted jobs, worker processes, and waiting with a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine, text
from uuid_utils.compat import uuid7

from model.artefact import build_artefact
from shared.config import Settings
from shared.jobs.accept_bulk import BulkJob, ListedIds, accept_ids
from shared.jobs.accept_singles import Accepted, SingleJob, accept_singles
from shared.jobs.records import JobRecord, read_job
from shared.messaging.messages import make_redis, publish_work
from shared.models.registry import promote_model, register_model
from shared.models.signature import Signature
from shared.postgres.engine import autocommit, transaction
from tests.models import SIGNATURE, TestModel

T = TypeVar("T")
OWNER = "tester"
ROOT = Path(__file__).parents[1]


def wait_until(check: Callable[[], T | None], *, seconds: float = 30, what: str = "condition") -> T:
    """Poll until `check` gives something true, and return it; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def add_model(
    engine: Engine,
    estimator: Any = None,
    *,
    signature: Signature = SIGNATURE,
    promote: bool = True,
    threshold: float = 0.5,
) -> int:
    """Register an estimator, with the test signature and live unless told otherwise. Returns its version.

    In a fresh database, versions and their numbers in the tables are the same.
    """
    artefact = build_artefact(estimator or TestModel(), signature, threshold, name="test")
    with transaction(engine) as connection:
        version = register_model(
            connection,
            name="test",
            sha256=artefact.metadata.sha256,
            signature=signature,
            threshold=threshold,
            metadata=artefact.metadata.description(),
            classes=artefact.metadata.classes,
            artefact=artefact.content,
        ).version
        if promote:
            promote_model(connection, version)
    return version


def add_clients(engine: Engine, count: int, *, first: int = 1) -> None:
    """Insert clients first…first+count-1, all scorable, with features that differ; ages from 20 to 59."""
    with engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO predictq_data.clients (client_id, age, monthly_income, department, over_time)
                    SELECT n, 20 + n % 40, 1000 + n % 997,
                           CASE WHEN n % 3 = 0 THEN 'Sales' ELSE 'Research & Development' END, n % 2 = 0
                    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n"""),
            {"first": first, "last": first + count - 1},
        )


def change_client(engine: Engine, client_id: int, **features: Any) -> None:
    """Update features of one client."""
    columns = ", ".join(f"{name} = :{name}" for name in features)
    with engine.begin() as connection:
        connection.execute(
            text(f"UPDATE predictq_data.clients SET {columns} WHERE client_id = :id"), {"id": client_id, **features}
        )


def submit_singles(engine: Engine, client_ids: Sequence[int]) -> list[Accepted]:
    """Accept one single job per client, all in one batch."""
    jobs = [SingleJob(uuid7(), OWNER, client_id) for client_id in client_ids]
    with autocommit(engine) as connection:
        answers = accept_singles(connection, jobs)
    refused = [answer for answer in answers if not isinstance(answer, Accepted)]
    if refused:
        raise AssertionError(f"not accepted: {refused}")
    return [answer for answer in answers if isinstance(answer, Accepted)]


def submit_bulk(engine: Engine, client_ids: Sequence[int], *, batch_rows: int = 100) -> Accepted:
    """Accept one bulk job."""
    return accept_ids(engine, BulkJob(uuid7(), OWNER, batch_rows), ListedIds(client_ids), len(client_ids))


def publish(settings: Settings, accepted: Accepted) -> None:
    """Put the batches of a job on their queue, as the gateway does after its commit."""
    with make_redis(settings) as redis:
        publish_work(redis, len(accepted.batch_ids), accepted.queue)


def job_of(engine: Engine, job_id: UUID) -> JobRecord:
    """The job as it stands."""
    with autocommit(engine) as connection:
        return read_job(connection, job_id, OWNER)


def wait_for_job(engine: Engine, job_id: UUID, *, seconds: float = 60) -> JobRecord:
    """The job once it is in a terminal state."""

    def ended() -> JobRecord | None:
        job = job_of(engine, job_id)
        return job if job.status.is_terminal else None

    return wait_until(ended, seconds=seconds, what=f"end of job {job_id}")


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these settings."""
    given = {name: value for name, value in settings.model_dump().items() if value is not None}
    values = {f"PREDICTQ_{name.upper()}": str(value) for name, value in given.items()}
    values["DATABASE_URL"] = settings.database_url.get_secret_value()
    values["REDIS_URL"] = settings.redis_url.get_secret_value()
    return {**os.environ, **values}


@contextmanager
def worker_process(
    settings: Settings,
    *,
    concurrency: int = 1,
    queues: str = "interactive,bulk",
    name: str = "w",
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker, ended gracefully, or by force when it takes too long."""
    command = [sys.executable, "-m", "worker", "--concurrency", str(concurrency), "--queues", queues, "--name", name]
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stdout=output, stderr=output)
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], *, seconds: float = 30) -> int:
    """SIGTERM, then SIGKILL. Returns the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
