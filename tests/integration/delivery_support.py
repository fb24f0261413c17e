"""What the delivery tests share: impatient settings, and how batches and processes stand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

from shared.config import Environment, Settings
from shared.jobs.accept_singles import Accepted
from shared.jobs.results import read_results, readable
from shared.postgres.engine import autocommit
from tests.models import right_answer
from tests.support import (
    wait_until,
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


def connections(engine: Engine, name: str) -> int:
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
