"""A planner makes several plans at once: what takes minutes delays its owner, and nobody else."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pandas as pd
import psutil
import pytest
from sqlalchemy import Engine

from shared.config import Settings
from shared.jobs.planning import Selection
from shared.uploads.table_order import TableOrder
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.jobs.planning_support import keys_of, make_slow, plan_of, planner_process, select, total_of
from tests.support import add_clients, add_model, wait_until
from worker.planning.in_hand import PlansInHand

PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
FEATURES = "/v1/jobs?features=upload"


@pytest.fixture(autouse=True)
def live_model(engine: Engine) -> None:
    add_model(engine)


def parquet(rows: int) -> bytes:
    """A file of features."""
    target = io.BytesIO()
    row = {"age": 30, "monthly_income": 2000, "department": "Sales", "over_time": True}
    pd.DataFrame([row] * rows).to_parquet(target)
    return target.getvalue()


def _plan(engine: Engine, job_id: UUID) -> Any:
    return wait_until(lambda: plan_of(engine, job_id), what="a plan")


@contextmanager
def _stopped(planner: int) -> Iterator[psutil.Process]:
    """The process that opens a file for the planner, stopped as soon as it is there."""

    def opener() -> psutil.Process | None:
        children = psutil.Process(planner).children(recursive=True)
        return next((child for child in children if "worker.uploads" in child.cmdline()), None)

    found = wait_until(opener, what="the process that opens the file")
    found.send_signal(signal.SIGSTOP)
    try:
        yield found
    finally:
        found.send_signal(signal.SIGCONT)


def test_a_slow_source_delays_its_owner_alone(engine: Engine, settings: Settings) -> None:
    """While a source gives a row in a tenth of a second, another's file is planned; a second plan of hers waits."""
    add_clients(engine, 600)
    make_slow(engine)
    with planner_process(settings), running_gateway(settings, new_key(engine, "other")) as gateway:
        slow = select(engine, owner="slow")
        wait_until(lambda: _plan(engine, slow).status == "running", what="the slow plan")
        second = select(engine, owner="slow")
        job = UUID(gateway.post(FEATURES, content=parquet(3), headers=PARQUET).json()["id"])
        wait_until(lambda: total_of(engine, job), what="the other's plan")
        assert (_plan(engine, slow).status, total_of(engine, slow)) == ("running", None), "the source was too quick"
        assert (_plan(engine, second).planned_rows, total_of(engine, second)) == (0, None)


def test_a_file_that_takes_long_delays_files_alone(engine: Engine, settings: Settings) -> None:
    """One is opened at a time. Once it is through, the next is taken at once, and nothing is lost."""
    add_clients(engine, 600)
    with planner_process(settings) as planner, running_gateway(settings, new_key(engine, "first")) as gateway:
        large = UUID(gateway.post(FEATURES, content=parquet(2_000), headers=PARQUET).json()["id"])
        with _stopped(planner.pid):
            headers = {**PARQUET, "Authorization": f"Bearer {new_key(engine, 'second')}"}
            small = UUID(gateway.post(FEATURES, content=parquet(3), headers=headers).json()["id"])
            everybody = select(engine, owner="third")
            wait_until(lambda: total_of(engine, everybody), what="the plan of a third owner")
            assert total_of(engine, large) is None, "the file was opened before its process was stopped"
            assert total_of(engine, small) is None
        wait_until(lambda: total_of(engine, small), what="the second file's plan")
    assert [total_of(engine, job) for job in (large, small)] == [2_000, 3]
    assert keys_of(engine, everybody) == list(range(1, 601))


def test_an_owner_has_one_plan_in_hand_and_a_planner_one_file() -> None:
    """What was refused is told once whoever stood in the way has left, so that a lane looks again."""
    in_hand = PlansInHand()
    order = TableOrder(uuid4())
    plan, other, file, others_file = (
        Selection(uuid4(), owner, {}, 1, "int8", upload)
        for owner, upload in [("ann", None), ("ben", None), ("cleo", order), ("dan", order)]
    )
    taken = [in_hand.take(selection) for selection in (plan, plan, other, file, others_file)]
    assert taken == [True, False, True, True, False]
    assert [in_hand.leave(selection) for selection in (plan, other)] == [True, False]
    assert (in_hand.take(plan), in_hand.take(others_file)) == (True, False)
    assert in_hand.leave(file)
    assert in_hand.take(others_file)
