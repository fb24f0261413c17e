"""Retention of a page with rows that are held beside rows that were erased: each counts as what it was."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from shared.batches.row_accounting import read_row_account
from shared.jobs.records import cancel_job
from shared.postgres.engine import transaction
from shared.retention.report import Report
from shared.retention.rules.holds import add_hold, list_holds, release_hold
from shared.retention.rules.policy import set_period
from shared.retention.run import run_retention
from shared.status import Queue
from tests.integration.stored.erasure_support import erase, key_of
from tests.integration.stored.test_upkeep_retention import NOTHING, NOW, require_balance
from tests.integration.stored.upkeep_support import close_range, count_rows
from tests.integration.worker.scoring_support import score
from tests.roles import as_upkeep
from tests.support import OWNER, add_clients, add_model, submit_bulk, submit_singles
from worker.scoring.scorer import Scorer
from worker.upkeep.rewriting import PageRewriter

ANSWERED, FAILED, CANCELLED = 1, 901, 11  # clients that can be held
ERASED = (2, 902, 12)  # one each that had been answered, had failed, had been cancelled
LATER = NOW + timedelta(days=500)


@pytest.fixture(params=["singles", "bulk"])
def stored(engine: Engine, scorer: Scorer, request: pytest.FixtureRequest) -> Engine:
    """Six requests of each kind of row; three of the clients are erased then."""
    add_model(engine)
    add_clients(engine, 20)
    store: dict[str, Callable[[Engine, Scorer], None]] = {"singles": _singles, "bulk": _bulk}
    store[request.param](engine, scorer)
    for client in ERASED:
        assert erase(engine, key_of(engine, client)).answers == 1
    with transaction(engine) as connection:
        set_period(connection, "13 months")
    close_range(engine)
    return engine


def _singles(engine: Engine, scorer: Scorer) -> None:
    add_clients(engine, 2, first=901)
    accepted = submit_singles(engine, [ANSWERED, 2, FAILED, 902, CANCELLED, 12])
    with transaction(engine) as connection:
        for job in accepted[4:]:
            cancel_job(connection, job.job_id, OWNER)
    with engine.begin() as connection:  # so that their rows fail
        connection.execute(text("DELETE FROM predictq_data.clients WHERE client_id > 900"))
    score(scorer)


def _bulk(engine: Engine, scorer: Scorer) -> None:
    accepted = submit_bulk(engine, [ANSWERED, 2, FAILED, 902, CANCELLED, 12], batch_rows=4)
    assert scorer.work(Queue.BULK) == ["finished"]
    with transaction(engine) as connection:
        cancel_job(connection, accepted.job_id, OWNER)


def _let_go(engine: Engine) -> Report:
    return run_retention(as_upkeep(engine), LATER, settle_seconds=0, rewriter=PageRewriter())


@pytest.mark.parametrize(
    ("held", "counts"),
    [
        ([ANSWERED], (1, 0, 0)),
        ([FAILED], (0, 1, 0)),
        ([CANCELLED], (0, 0, 1)),
        ([ANSWERED, FAILED, CANCELLED], (1, 1, 1)),
    ],
)
def test_held_rows_keep_their_counts_beside_erased_ones(
    stored: Engine, held: list[int], counts: tuple[int, int, int]
) -> None:
    """What stays counts as what it was, all accounts balance, and after the release nothing is left."""
    with transaction(stored) as connection:
        before = read_row_account(connection)
        holds = [add_hold(connection, reason="lawsuit", actor="ann", client_key=str(client)) for client in held]
    assert (before.succeeded, before.failed, before.cancelled) == (2, 2, 2)
    assert _let_go(stored).thinned_rows == 6 - len(held)
    with transaction(stored) as connection:
        pages = connection.execute(
            text("SELECT sum(succeeded), sum(failed), sum(cancelled) FROM predictq.batch_outputs")
        ).one()
        assert tuple(pages) == counts
        assert read_row_account(connection) == before
        for hold in holds:
            release_hold(connection, hold.id)
    require_balance(stored, 6)
    _let_go(stored)
    assert count_rows(stored) == NOTHING
    with transaction(stored) as connection:
        assert read_row_account(connection) == before


@pytest.mark.parametrize("stored", ["singles"], indirect=True)
def test_a_damaged_page_of_held_rows_stays_and_keeps_nothing_back(stored: Engine) -> None:
    """It is left as it is: the run goes on, and nothing of what is held is lost."""
    with transaction(stored) as connection:
        connection.execute(text("SET LOCAL predictq.upkeep = on"))
        connection.execute(text("UPDATE predictq.batch_outputs SET features = substr(features, 1, 4)"))
        add_hold(connection, reason="lawsuit", actor="ann", client_key=str(ANSWERED))
        before = read_row_account(connection)
    assert _let_go(stored).thinned_rows == 0
    with transaction(stored) as connection:
        assert connection.execute(text("SELECT gone_rows FROM predictq.batch_outputs")).scalar_one() is None
        assert read_row_account(connection) == before


@pytest.mark.parametrize("erased", range(3), ids=["answered", "failed", "cancelled"])
@pytest.mark.parametrize("stored", ["singles"], indirect=True)
def test_a_held_job_whose_client_was_erased_keeps_its_count(stored: Engine, erased: int) -> None:
    """A job can be held after its client was erased: its row stays as erased, and counts as what it was."""
    with transaction(stored) as connection:
        before = read_row_account(connection)
        jobs = connection.execute(text("SELECT job_ids FROM predictq.batch_requests")).scalar_one()
        add_hold(connection, reason="lawsuit", actor="ann", job_id=jobs[2 * erased + 1])
    assert _let_go(stored).thinned_rows == 5
    with transaction(stored) as connection:
        page = connection.execute(text("SELECT succeeded, failed, cancelled FROM predictq.batch_outputs")).one()
        assert list(page) == [int(number == erased) for number in range(3)]
        assert read_row_account(connection) == before
        release_hold(connection, list_holds(connection)[0].id)
    _let_go(stored)
    assert count_rows(stored) == NOTHING
