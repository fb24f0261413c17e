"""What the delivery tests share: impatient settings, and how batches and processes stand."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.jobs.accepting.singles import Accepted
from shared.jobs.results import readable
from shared.postgres.engine import autocommit
from tests.models import right_answer
from tests.roles import service_settings
from tests.support import read_results, wait_until

PATIENCE = 150  # seconds: a deadline for a machine with much else to do, no measure of speed


def quick(database_url: str, redis_url: str, **changes: object) -> Settings:
    """Settings under which recovery is quick to see."""
    values = {"lease_seconds": 1, "batch_timeout_seconds": 2, "sweep_seconds": 0.2, "dispatch_grace_seconds": 0.4}
    return service_settings(database_url, redis_url, **{**values, **changes})


def connections(engine: Engine, name: str) -> int:
    with autocommit(engine) as connection:
        query = text("""SELECT count(*) FROM pg_stat_activity
                        WHERE application_name LIKE :name AND datname = current_database()""")
        return int(connection.execute(query, {"name": f"{name}%"}).scalar_one())


def assert_right(engine: Engine, accepted: Accepted, client_ids: list[int], offset: float = 0.0) -> None:
    """Every row is there once, in order, right, and no batch is both answered and open."""
    with autocommit(engine) as connection:
        extent = readable(connection, accepted.job_id)
        assert extent is not None
        rows = read_results(connection, accepted.job_id, end=extent.end)
        stray = connection.execute(
            text("""SELECT count(*) FROM predictq.batch_outputs o
                    JOIN predictq.prediction_batches b ON b.id = o.batch_id""")
        ).scalar_one()
    assert [row["client_id"] for row in rows] == client_ids
    for row in rows:
        n = row["client_id"] or 0
        department = "Sales" if n % 3 == 0 else "Research & Development"
        assert row["probability"] == right_answer(20 + n % 40, 1000 + n % 997, department, n % 2 == 0) + offset
    assert stray == 0


# A batch is open in one table, or it has ended in the other.
_BATCHES = text("""
SELECT id, status, attempts FROM predictq.prediction_batches WHERE id = ANY(:ids)
UNION ALL
SELECT batch_id, CASE WHEN "values" IS NULL THEN 'cancelled' ELSE 'finished' END, attempts
FROM predictq.batch_outputs WHERE batch_id = ANY(:ids) ORDER BY id
""")


def batch_states(engine: Engine, accepted: Accepted) -> list[tuple[str, int]]:
    """Status and attempts of each batch of a job: queued, running, finished or cancelled."""
    with autocommit(engine) as connection:
        rows = connection.execute(_BATCHES, {"ids": list(accepted.batch_ids)})
        return [(row.status, row.attempts) for row in rows]


def wait_until_claimed(engine: Engine, accepted: Accepted) -> None:
    wait_until(
        lambda: any(status == "running" for status, _ in batch_states(engine, accepted)),
        seconds=PATIENCE,
        what="a claim",
    )


def put_back(log: Path) -> int:
    """How many messages a worker's sweeper has put back, as its log tells."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return sum(line["messages"] for line in lines if line["event"] == "messages put back")


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def pool_processes(pid: int) -> list[psutil.Process]:
    """The scoring processes of a worker program; its planner and its errands are other children of it."""
    others = {"worker.planning", "worker.errands"}
    return [child for child in psutil.Process(pid).children() if not others & set(child.cmdline())]


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def metrics_directories(pid: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"predictq-metrics-{pid}-*"))
