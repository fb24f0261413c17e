"""What the tests of planning share: planner processes, jobs by filter, what was planned, answers without a model."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, text

from shared.batches.claims import claim
from shared.batches.row_accounting import RowAccount, read_row_account
from shared.config import Settings
from shared.jobs.accepting.bulk import accept_selection
from shared.postgres.engine import autocommit, transaction
from shared.status import Queue
from tests.integration.jobs.jobs_support import answer
from tests.roles import as_worker
from tests.support import OWNER, ROOT, bulk_job, environment, stop


@contextmanager
def planner_process(settings: Settings, *, name: str = "p") -> Iterator[subprocess.Popen[bytes]]:
    """A real planner, ended gracefully, or by force when it takes too long."""
    command = [sys.executable, "-m", "worker.planning", "--name", name]
    with Path(os.devnull).open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stdout=output, stderr=output)
    try:
        yield process
    finally:
        stop(process)


def select(engine: Engine, where: Mapping[str, Any] | None = None, *, owner: str = OWNER) -> UUID:
    """Accept a job of all clients that `where` names. No message is sent: planners ask PostgreSQL, too."""
    return accept_selection(engine, bulk_job(engine, owner=owner, batch_rows=100), where or {}).job_id


def plan_of(engine: Engine, job_id: UUID) -> Any:
    """The row of the open plan of a job; None where it has ended."""
    with autocommit(engine) as connection:
        return connection.execute(
            text("SELECT * FROM predictq.prediction_batches WHERE job_id = :id AND queue = 'plan'"), {"id": str(job_id)}
        ).one_or_none()


def total_of(engine: Engine, job_id: UUID) -> int | None:
    """Rows of a job, whoever it belongs to; None while they are counted."""
    with autocommit(engine) as connection:
        total: int | None = connection.execute(
            text("SELECT request_count FROM predictq.jobs WHERE id = :id"), {"id": str(job_id)}
        ).scalar_one()
        return total


def keys_of(engine: Engine, job_id: UUID) -> list[int]:
    """All keys that were planned, in the order of their batches and rows."""
    with autocommit(engine) as connection:
        return list(
            connection.execute(
                text("""SELECT k.key FROM predictq.batch_requests r
                        CROSS JOIN LATERAL unnest(r.keys_int8) WITH ORDINALITY AS k (key, n)
                        WHERE r.job_id = :id ORDER BY r.batch_id, k.n"""),
                {"id": str(job_id)},
            ).scalars()
        )


def waiting_rows(engine: Engine, owner: str = OWNER) -> int:
    with autocommit(engine) as connection:
        return int(
            connection.execute(
                text("SELECT coalesce(sum(request_count), 0) FROM predictq.prediction_batches WHERE owner = :owner"),
                {"owner": owner},
            ).scalar_one()
        )


def answer_all(engine: Engine) -> int:
    """Answer every bulk batch that waits; returns how many."""
    answered = 0
    while held := claim(as_worker(engine), Queue.BULK, worker="w", lease_seconds=600):
        answer(engine, held[0])
        answered += 1
    return answered


def readings(engine: Engine) -> int:
    """How many plans read the source now."""
    with engine.begin() as connection:
        return int(connection.execute(text(f"SELECT count(*) {_READINGS}")).scalar_one())


def end_readings(engine: Engine) -> int:
    """Cut the planners off from the source; returns how many."""
    with engine.begin() as connection:
        return int(connection.execute(text(f"SELECT count(pg_terminate_backend(pid)) {_READINGS}")).scalar_one())


_READINGS = """FROM pg_stat_activity
WHERE state = 'active' AND query LIKE 'COPY (SELECT%' AND datname = current_database()"""


def make_slow(engine: Engine) -> None:
    """Put a view in place of the clients that gives none for a tenth of a second for each there is."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE predictq_data.clients RENAME TO true_clients"))
        connection.execute(
            text("""CREATE VIEW predictq_data.clients AS
                    SELECT c.* FROM predictq_data.true_clients c WHERE pg_sleep(0.1) IS NOT NULL""")
        )


def make_quick(engine: Engine) -> None:
    """End what `make_slow` began."""
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW predictq_data.clients"))
        connection.execute(text("ALTER TABLE predictq_data.true_clients RENAME TO clients"))


def account(engine: Engine) -> RowAccount:
    with transaction(engine) as connection:
        return read_row_account(connection)


@contextmanager
def balance_watched(engine: Engine) -> Iterator[None]:
    """Read the row accounting over and over while the block runs: each reading must balance."""
    ended = threading.Event()
    wrong: list[RowAccount] = []
    count = 0

    def watch() -> None:
        nonlocal count
        while not ended.wait(0.005):
            found = account(engine)
            count += 1
            if found.imbalance:
                wrong.append(found)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert count > 0
    assert not wrong, f"{len(wrong)} of {count} readings do not balance, the first is {wrong[0]}"
