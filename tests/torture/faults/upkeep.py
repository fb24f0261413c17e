"""Faults of upkeep: erasure and compaction, whose process is killed over and over.

Retention is not among them: what it takes away, the checker would have to know of. It is killed over and over by a test
of its own, tests/integration/stored/test_retention_killed.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.base import Fault, Missed, NotEnded, Tools
from tests.torture.faults.workers import wait_idle
from tests.torture.machinery.cluster import wait_for
from tests.torture.machinery.services import ROOT, Service

_ERASURE_SECONDS = 60.0  # in which an erasure must be done, once its process is left alone


@contextmanager
def erasure_killed(tools: Tools) -> Iterator[None]:
    """An erasure's process is killed again and again, while pages of the client are stored and others wait."""
    client = _somebody(tools)
    for others in (5, 60, 400):  # small pages and one with a filter
        tools.submit(_ask(tools, client, others))
    tools.submit(Ask("single", [client]))
    upkeep = tools.cluster.make_upkeep()
    try:
        with tools.crowd.paused():
            wait_idle(tools)
            pool = [process for worker in tools.cluster.workers for process in worker.pool()]
            with tools.cluster.freezer.frozen(pool):
                tools.submit(_ask(tools, client, 20))
                _erase(tools, client)
                kills = _kill_over_and_over(tools, upkeep)
            tools.notes.append(f"killed {kills} times")
        _finish(tools, upkeep, [client])
    finally:
        upkeep.close()
    yield


@contextmanager
def erasure_meets_scoring(tools: Tools) -> Iterator[None]:
    """A worker has read the features of a client and is in the model when she is erased."""
    client = _somebody(tools)
    upkeep = tools.cluster.make_upkeep()
    try:
        with tools.crowd.paused():
            wait_idle(tools)
            upkeep.start()
            wait_for(lambda: _is_at_work(tools), 40, "upkeep at work")
            job_id = tools.submit(Ask("bulk", [client, tools.rng.choice(population.SLOW)]))
            tools.holder(job_id)
            tools.hold(0.7)  # until it has read its rows
            _erase(tools, client)
            _finish(tools, upkeep, [client])
    except TimeoutError as error:
        raise Missed(str(error)) from None
    finally:
        upkeep.close()
    yield


@contextmanager
def compaction_killed(tools: Tools) -> Iterator[None]:
    """A compaction is killed again and again while answers are stored and read; then it comes to its end."""
    client = _somebody(tools)
    tools.submit(_ask(tools, client, 200))
    upkeep = tools.cluster.make_upkeep()
    try:
        with tools.crowd.paused():
            wait_idle(tools)
            _erase(tools, client)
            _finish(tools, upkeep, [client])
        environment = {**os.environ, **upkeep.environment, "PYTHONPATH": str(ROOT)}
        kills = 0
        while (seconds := 0.5 + 0.5 * kills) < 6:
            compaction = subprocess.Popen([sys.executable, "-c", _COMPACT], env=environment, cwd=ROOT)
            try:
                compaction.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                compaction.kill()
                compaction.wait()
                kills += 1
        tools.notes.append(f"killed {kills} times")
        subprocess.run([sys.executable, "-c", _COMPACT], env=environment, cwd=ROOT, check=True, timeout=120)
    finally:
        upkeep.close()
    yield


_COMPACT = """
from shared.config import load_settings
from shared.database_role import DatabaseRole
from shared.erasure.compact import compact
from shared.postgres.engine import make_engine
compact(make_engine(load_settings().as_role(DatabaseRole.UPKEEP), application_name="compact", pool_size=2))
"""


def _somebody(tools: Tools) -> int:
    """A client that nobody has erased yet."""
    count = tools.cluster.query("SELECT count(*) FROM predictq.erasures")[0][0]
    return population.ERASABLE[count]


def _ask(tools: Tools, client: int, others: int) -> Ask:
    clients = [client, *tools.rng.choices(population.ORDINARY, k=others), client]
    tools.rng.shuffle(clients)
    return Ask("bulk", clients)


def _erase(tools: Tools, client: int) -> None:
    """Ask for an erasure, and insist."""
    for _ in range(20):
        body = {"client_id": client, "source": "clients", "reason": "torture"}
        answer = tools.caller.call("POST", 0, "/v1/erasures", f"erase-{client}", json=body)
        if answer is not None and answer.status_code == 202:
            return
        tools.hold(0.5)
    raise Missed("the erasure was not accepted")


def _is_erased(tools: Tools) -> bool:
    return not tools.cluster.query("SELECT 1 FROM predictq.erasures WHERE status <> 'done'")


def _is_at_work(tools: Tools) -> bool:
    return bool(tools.cluster.query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'upkeep@%'"))


def _kill_over_and_over(tools: Tools, upkeep: Service) -> int:
    """Kill it as soon as it is at work or a little later, until the erasure is done; at most eight times."""
    kills = 0
    while kills < 8:
        upkeep.start()
        try:
            wait_for(lambda: _is_at_work(tools), 40, "upkeep at work")
        except TimeoutError as error:
            raise Missed(str(error)) from None
        tools.hold(tools.rng.uniform(0, 0.8))
        upkeep.kill()
        kills += 1
        if _is_erased(tools):
            break
    return kills


def _finish(tools: Tools, upkeep: Service, clients: Sequence[int]) -> None:
    upkeep.start()
    started = time.monotonic()
    while not _is_erased(tools):
        if time.monotonic() - started > _ERASURE_SECONDS:
            raise NotEnded(f"the erasure of {clients} is not done")
        tools.hold(0.1)
    for client in clients:
        tools.ledger.write("erased", client=client)


FAULTS = [
    Fault("erasure SIGKILL over and over", erasure_killed, mixable=False),
    Fault("an erasure meets a batch that is being scored", erasure_meets_scoring, mixable=False),
    Fault("compaction SIGKILL over and over", compaction_killed, mixable=False),
]
