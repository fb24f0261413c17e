"""Faults of operation: a promotion while old and new workers run, duplicates of every message, many sweepers."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.torture import population
from tests.torture.callers import Ask
from tests.torture.faults.backlog import backlog
from tests.torture.faults.base import Fault, Missed, Tools
from tests.torture.faults.workers import slow_job
from tests.torture.machinery.services import ROOT, Service
from tests.torture.sabotage import earlier


@contextmanager
def rolling_upgrade(tools: Tools) -> Iterator[None]:
    """Workers are replaced one by one, and a new model version goes live in between."""
    for worker in list(tools.cluster.workers):
        _promote(tools)
        worker.stop()
        worker.start()
        tools.cluster.wait_ready([worker])
    yield


_FINISHED_BY = """
SELECT split_part(worker, '@', 1), count(*) FROM predictq.batch_outputs
WHERE "values" IS NOT NULL AND batch_id > %s GROUP BY 1
"""


@contextmanager
def rolling_upgrade_of_code(tools: Tools) -> Iterator[None]:
    """Workers of an earlier version are replaced one by one; a model goes live while old and new run side by side."""
    workers = tools.cluster.workers
    old = earlier.unpack(tools.cluster.plan.directory / "earlier")
    try:
        for worker in workers:
            _replace_code(tools, worker, old)
        _replace_code(tools, workers[0], ROOT)
        newest = tools.cluster.query("SELECT max(batch_id) FROM predictq.batch_requests")[0][0]
        for _ in range(2):
            _promote(tools)
            pid, _ = tools.holder(slow_job(tools))
            psutil.Process(pid).kill()  # whoever claims its batch next may be of the other version
            tools.hold(4)
        counts = dict(tools.cluster.query(_FINISHED_BY, [newest]))
        if len(counts) < len(workers):
            raise Missed(f"not every worker had something to do: {counts}")
        tools.notes.append(f"worker code of {earlier.earlier_commit()} beside today's: {counts} batches")
        _promote(tools)
    finally:
        for worker in workers:
            _replace_code(tools, worker, ROOT)
    yield


def _replace_code(tools: Tools, worker: Service, code: Path) -> None:
    if worker.code != code:
        worker.stop()
        worker.code = code
        worker.start()
        tools.cluster.wait_ready([worker])


def _promote(tools: Tools) -> None:
    """A new model version goes live, with work before and after it."""
    tools.submit(Ask("bulk", tools.rng.choices(population.ORDINARY, k=1800)))
    offset = round(tools.rng.uniform(0, 0.0009), 6)
    tools.ledger.write("model", version=tools.cluster.add_model(offset), offset=offset)
    tools.submit(Ask("bulk", tools.rng.choices(population.ORDINARY, k=1800)))


@contextmanager
def duplicates(tools: Tools) -> Iterator[None]:
    """Every message that may wait is delivered five times over, three times in a row."""
    for _ in range(3):
        tools.submit(Ask("bulk", tools.rng.choices(population.ORDINARY, k=1800)))
        with tools.cluster.redis_client() as client:
            for queue in ("interactive", "bulk"):
                client.lpush(queue, *(message(queue) for _ in range(100)))
        tools.hold(0.3)
    yield


def message(queue: str) -> str:
    """Celery's message, protocol 2, which says that a queue has work."""
    task = str(uuid.uuid4())
    nothing = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = base64.b64encode(json.dumps([[queue], {}, nothing]).encode())
    content: dict[str, Any] = {
        "body": body.decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "predictq.work", "id": task, "root_id": task, "parent_id": None,
                    "group": None, "argsrepr": f"['{queue}']", "kwargsrepr": "{}", "origin": "torture", "retries": 0,
                    "eta": None, "expires": None, "timelimit": [None, None], "ignore_result": True},
        "properties": {"correlation_id": task, "reply_to": "", "delivery_mode": 2, "body_encoding": "base64",
                       "delivery_info": {"exchange": "", "routing_key": queue}, "priority": 0,
                       "delivery_tag": str(uuid.uuid4())},
    }  # fmt: skip
    return json.dumps(content)


@contextmanager
def third_sweeper(tools: Tools) -> Iterator[None]:
    """A third worker joins, sweeps alongside, and is killed."""
    worker = tools.cluster.add_worker()
    tools.cluster.wait_ready([worker])
    tools.hold(3)
    with tools.cluster.redis_client() as client:
        client.delete("interactive", "bulk")
    worker.close()
    tools.cluster.workers.remove(worker)
    yield


FAULTS = [
    backlog(8),
    Fault("rolling upgrade with promotions", rolling_upgrade, mixable=False),
    Fault(
        "rolling upgrade from earlier worker code, with promotions",
        rolling_upgrade_of_code,
        mixable=False,
        obstacle=earlier.obstacle,
    ),
    Fault("hundreds of messages too many", duplicates),
    Fault("three sweepers, messages lost, one killed", third_sweeper, mixable=False),
]
