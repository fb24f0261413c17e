"""Retention whose process is killed after each of its steps: nothing is half gone, and all adds up."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
from sqlalchemy import Engine, text

from shared.batches.row_accounting import read_row_account
from shared.config import Settings
from shared.postgres.engine import transaction
from shared.retention.rules.policy import set_period
from tests.integration.stored.test_upkeep_retention import MONDAY, NOW, OLD
from tests.integration.stored.upkeep_support import add_version, close_range, store_bulk, store_singles
from tests.support import ROOT, environment

# A run that takes one step away, and ends itself by SIGKILL before the second is committed. Steps are small here.
_RUN = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from shared.config import load_settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import make_engine
from shared.retention import page_deletion
from worker.upkeep.duty import database_clock
from worker.upkeep.export import Exporter, run_directory
from worker.upkeep.retention import carry_out

page_deletion.ROWS_PER_STEP, page_deletion._PAGES_PER_STEP = 4, 2
steps = 0

@event.listens_for(Engine, "after_cursor_execute")
def see(connection, cursor, statement, *_):
    words = ("DELETE", "SET leaving_at", "drop_leaving_partition")
    if cursor.rowcount > 0 and any(word in statement for word in words):
        connection.info["is_step"] = True

@event.listens_for(Engine, "commit")
def count(connection):
    global steps
    steps += connection.info.pop("is_step", False)
    if steps == 2:
        os.kill(os.getpid(), signal.SIGKILL)

engine = make_engine(load_settings().as_role(DatabaseRole.UPKEEP), application_name="retention", pool_size=4)
clock = database_clock(engine)
exporter = Exporter(engine, run_directory(Path(sys.argv[1]), clock()))
carry_out(engine, clock, actor_kind="upkeep", actor="upkeep", before_going=exporter, settle_seconds=0)
"""
_LEAST_KILLS, _MOST_KILLS = 8, 60


def _store(engine: Engine) -> None:
    """What goes with its partitions, what goes page by page from one that stays, and what stays."""
    version = add_version(engine)
    with transaction(engine) as connection:
        set_period(connection, "13 months")
    store_singles(engine, MONDAY, [1, 2, 3], version, failed=[1])
    store_bulk(engine, MONDAY + timedelta(days=1), [[4, 5], [6]], version)
    close_range(engine)
    for number in range(3):
        store_bulk(engine, OLD + timedelta(weeks=1), [[10 + number, 20, 21], [30 + number]], version)
        store_singles(engine, OLD + timedelta(weeks=1), [40 + number, 41, 42], version)
    store_singles(engine, NOW - timedelta(days=10), [50, 51], version)
    store_bulk(engine, NOW - timedelta(days=10), [[52], [53, 54]], version)


def test_a_run_that_is_killed_after_each_step_takes_everything_once(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    """After each kill jobs have all their pages, stored and counted rows add up, and what is gone is in whole files."""
    _store(engine)
    stored, days = _request_ids(engine), _days(engine)
    kills = 0
    while _is_killed(settings, tmp_path):
        kills += 1
        assert kills < _MOST_KILLS
        _require_whole(engine, len(stored))
        assert stored - _request_ids(engine) <= _exported(tmp_path)
    assert kills >= _LEAST_KILLS
    _require_whole(engine, len(stored))
    left = _request_ids(engine)
    assert len(left) == 5
    assert stored - left == _exported(tmp_path)
    with transaction(engine) as connection:
        gone = connection.execute(text("SELECT day, sum(accepted)::int FROM predictq.daily_counts GROUP BY day"))
        assert Counter({row[0]: row[1] for row in gone}) + _days(engine) == days


def _is_killed(settings: Settings, directory: Path) -> bool:
    command = [sys.executable, "-c", _RUN, str(directory)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def _request_ids(engine: Engine) -> set[str]:
    """The rows that have an answer in a table."""
    with transaction(engine) as connection:
        pages = connection.execute(text("SELECT batch_id, request_count FROM predictq.batch_outputs")).all()
    return {f"{page.batch_id}-{row}" for page in pages for row in range(page.request_count)}


def _days(engine: Engine) -> Counter[date]:
    """The rows of the jobs that there are, by the day of their acceptance."""
    with transaction(engine) as connection:
        found = connection.execute(
            text("""SELECT (created_at AT TIME ZONE 'UTC')::date, sum(request_count)::int
                    FROM predictq.jobs GROUP BY 1""")
        )
        return Counter({row[0]: row[1] for row in found})


def _require_whole(engine: Engine, rows: int) -> None:
    with transaction(engine) as connection:
        account = read_row_account(connection)
        assert (account.accepted, account.imbalance) == (rows, 0)
        assert connection.execute(_HALF).scalars().all() == []


_HALF = text("""
SELECT j.id FROM predictq.jobs j WHERE CASE j.kind
    WHEN 'bulk' THEN (j.request_count, j.request_count) IS DISTINCT FROM (
        (SELECT sum(o.request_count) FROM predictq.batch_outputs o WHERE o.job_id = j.id),
        (SELECT sum(r.request_count) FROM predictq.batch_requests r WHERE r.job_id = j.id))
    ELSE NOT EXISTS (SELECT FROM predictq.batch_outputs o JOIN predictq.batch_requests r USING (batch_id)
                     WHERE o.batch_id = j.batch_id AND r.job_ids[j.row_number + 1] = j.id) END
""")


def _exported(directory: Path) -> set[str]:
    """The rows in the files that a list of digests names: each is whole, and as it was when it was written."""
    rows: set[str] = set()
    for digests in directory.glob("*/SHA256SUMS"):
        for line in digests.read_text().splitlines():
            digest, name = line.split()
            content = (digests.parent / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
            rows |= set(pq.read_table(digests.parent / name, columns=["request_id"])["request_id"].to_pylist())
    return rows
