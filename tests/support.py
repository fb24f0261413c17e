"""What several tests need: a live model, clients, submitted jobs, worker processes, and waiting with a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from uuid_utils.compat import uuid7

from model.artefact import Artefact, build_artefact
from model.registration import new_version
from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.jobs.accepting.bulk import BulkJob, accept_keys
from shared.jobs.accepting.key_pages import ListedIds
from shared.jobs.accepting.model_choice import DEFAULT, ModelChoice
from shared.jobs.accepting.singles import Accepted, SingleJob, Target, accept_singles
from shared.jobs.records import JobRecord, read_job
from shared.jobs.results import read_part
from shared.messaging.messages import make_redis, publish_work
from shared.models.registry import promote_version, register_version
from shared.models.signature import Signature
from shared.pages.request_id import RequestId
from shared.postgres.engine import autocommit, transaction
from shared.sources.keys import ClientKey
from shared.sources.lookup import lookup_of
from shared.sources.source import read_source
from tests.models import SIGNATURE, TestModel
from tests.roles import settings_of

T = TypeVar("T")
OWNER = "tester"
ROOT = Path(__file__).parents[1]


def wait_until(check: Callable[[], T | None], *, seconds: float = 30, what: str = "condition") -> T:
    """Poll until `check` gives something true, and return it; fail with `what` after `seconds`.

    After four times as long on a machine that has more to do than cores: there a process takes half a minute to start.
    """
    deadline = time.monotonic() + seconds * (4 if os.getloadavg()[0] > (os.cpu_count() or 1) else 1)
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
    requirements: str = "",
) -> int:
    """Register an estimator, with the test signature and live unless told otherwise. Returns its version.

    In a fresh database, versions and their numbers in the tables are the same.
    """
    estimator = estimator or TestModel()
    vars(estimator)["serial"] = next(_serial)  # the very same file again would be the version that is there
    artefact = build_artefact(estimator, signature, threshold, name="test")
    artefact = replace(artefact, metadata=replace(artefact.metadata, requirements=requirements))
    with transaction(engine) as connection:
        version_id = register_artefact(connection, artefact)
        if promote:
            promote_version(connection, version_id)
    return version_id


_serial = count(1)


def register_artefact(connection: Connection, artefact: Artefact, *, source_name: str = "clients") -> int:
    """Register an artefact for a source, by default the sample's; returns the number of the version in the database."""
    source = read_source(connection, source_name)
    return register_version(connection, new_version(artefact, source_id=source.id)).id


def target_of(engine: Engine, choice: ModelChoice = DEFAULT) -> Target:
    """What a gateway finds for jobs of the sample's source."""
    with autocommit(engine) as connection:
        source = read_source(connection, "clients")
    return Target(choice, source.key_form.storage, lookup_of(source), source.id)


def single_job(
    engine: Engine, client_id: int | None = 1, *, owner: str = OWNER, target: Target | None = None, **more: Any
) -> SingleJob:
    """A job of one client of the sample's source."""
    key = None if client_id is None else ClientKey(str(client_id))
    return SingleJob(uuid7(), owner, target or target_of(engine), key, **more)


def bulk_job(engine: Engine, *, owner: str = OWNER, batch_rows: int = 100, **more: Any) -> BulkJob:
    """A bulk job of clients of the sample's source."""
    return BulkJob(uuid7(), owner, batch_rows, target_of(engine), **more)


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
    target = target_of(engine)
    jobs = [single_job(engine, client_id, target=target) for client_id in client_ids]
    with autocommit(engine) as connection:
        answers = accept_singles(connection, jobs)
    refused = [answer for answer in answers if not isinstance(answer, Accepted)]
    if refused:
        raise AssertionError(f"not accepted: {refused}")
    return [answer for answer in answers if isinstance(answer, Accepted)]


def submit_bulk(engine: Engine, client_ids: Sequence[int], *, batch_rows: int = 100) -> Accepted:
    """Accept one bulk job."""
    return accept_keys(engine, bulk_job(engine, batch_rows=batch_rows), ListedIds(client_ids), len(client_ids))


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
    for role in DatabaseRole:
        values[role.variable] = settings_of(role, settings).database_url.get_secret_value()
    values["REDIS_URL"] = settings.redis_url.get_secret_value()
    return {**os.environ, **values}


@contextmanager
def worker_process(
    settings: Settings,
    *,
    concurrency: int = 1,
    queues: str = "interactive,bulk",
    name: str = "w",
    models: str | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker, ended gracefully, or by force when it takes too long."""
    command = [sys.executable, "-m", "worker", "--concurrency", str(concurrency), "--queues", queues, "--name", name]
    command += ["--models", models] if models else []
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


def read_results(
    connection: Connection, job_id: UUID, *, end: int, after: RequestId | None = None, limit: int = 100_000
) -> list[dict[str, Any]]:
    """The rows of a job that `read_part` gives, read."""
    part = read_part(connection, job_id, end=end, after=after, limit=limit)
    rows: list[dict[str, Any]] = json.loads(b"[%b]" % part.rows)
    assert (len(rows), rows[-1]["request_id"] if rows else None) == (part.count, part.last and str(part.last))
    return rows


def loaded_of(libraries: str, *, by: str) -> str:
    """Which of these libraries, with spaces between them, an interpreter has loaded that imports the module `by`."""
    code = f"import sys, {by}; print(*sorted(set('{libraries}'.split()) & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()
