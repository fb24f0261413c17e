"""Readers of answers beside retention: they see what is left, or are told that rows went; half a job is never whole."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.jobs.results import copy_results, read_errors, read_part
from shared.jobs.summary import read_summary
from shared.postgres.engine import autocommit, transaction
from shared.retention.rules.holds import add_hold
from shared.retention.rules.policy import set_period
from shared.retention.run import run_retention
from tests.integration.stored.upkeep_support import add_version, close_range, store_bulk
from tests.roles import as_upkeep
from worker.upkeep.rewriting import PageRewriter

NOW = datetime.now(UTC)
OLD = (NOW - timedelta(days=420)).replace(hour=12)
MONDAY = (OLD - timedelta(days=OLD.weekday())).replace(hour=12)


@pytest.fixture
def version(engine: Engine) -> int:
    """A live version of the default model, kept for 13 months."""
    version_id = add_version(engine)
    with transaction(engine) as connection:
        set_period(connection, "13 months")
    return version_id


def hold(engine: Engine, client: int) -> None:
    """Keep what is stored of a client."""
    with transaction(engine) as connection:
        add_hold(connection, reason="lawsuit", actor="ann", client_key=str(client))


def let_go(engine: Engine) -> None:
    """Let retention take what is due, also out of pages that are held."""
    close_range(engine)
    run_retention(as_upkeep(engine), NOW, rewriter=PageRewriter(), settle_seconds=0)


def cancel_page(engine: Engine, job_id: UUID, batch_id: int) -> None:
    """Make of an answered page one that was cancelled before a worker took it."""
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        values = {"batch": batch_id, "job": str(job_id)}
        connection.execute(
            text("""UPDATE predictq.batch_outputs SET "values" = NULL, succeeded = 0, cancelled = request_count,
                        worker = NULL, threshold = NULL WHERE batch_id = :batch"""),
            values,
        )
        connection.execute(
            text("""UPDATE predictq.jobs j SET status = 'cancelled', cancelled_at = j.created_at,
                        succeeded = j.succeeded - o.cancelled, cancelled = o.cancelled
                    FROM predictq.batch_outputs o WHERE j.id = :job AND o.batch_id = :batch"""),
            values,
        )


def clients_of(engine: Engine, job_id: UUID) -> list[list[int]]:
    """The clients of a job's rows by each way to read them: parts of one row, one part, NDJSON and CSV."""
    as_json, as_csv = io.BytesIO(), io.BytesIO()
    with autocommit(engine) as connection:
        whole = read_part(connection, job_id, end=2**60, after=None, limit=1000)
        after, has_more, parts = None, True, []
        while has_more:
            part = read_part(connection, job_id, end=2**60, after=after, limit=1)
            parts += json.loads(b"[%b]" % part.rows)
            after, has_more = part.last, part.has_more
        copy_results(connection, job_id, end=2**60, target=as_json, as_json=True)
        copy_results(connection, job_id, end=2**60, target=as_csv)
    read = [parts, json.loads(b"[%b]" % whole.rows), [json.loads(line) for line in as_json.getvalue().splitlines()]]
    found = [[row["client_id"] for row in rows] for rows in read]
    return [*found, [int(line.split(b",")[1]) for line in as_csv.getvalue().splitlines()[1:]]]


def test_a_cancelled_row_that_is_held_is_no_answer(engine: Engine, version: int) -> None:
    """It gave no row before retention thinned its page, and gives none after; nor is its page one that was scored."""
    stored = store_bulk(engine, MONDAY, [[1, 2, 3], [2, 4]], version)
    (job_id,) = stored.job_ids
    cancel_page(engine, job_id, stored.batch_ids[0])
    assert clients_of(engine, job_id) == [[2, 4]] * 4
    hold(engine, 2)
    let_go(engine)
    assert clients_of(engine, job_id) == [[2]] * 4
    with autocommit(engine) as connection:
        summary = read_summary(connection, job_id)
        assert read_errors(connection, job_id, end=2**60, after=None, limit=10).count == 0
    assert [(part.done, part.rows) for part in summary.strip] == [(1, 1)]
