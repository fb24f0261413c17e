"""What one prediction costs at every load, and whether the capacity model of docs/performance.md says so, too.

Not part of a normal run: `python -m bench --only capacity`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import text

from bench.check import WrongAnswer
from bench.context import Bench, Figures
from bench.load import Load, closed_loop, paced, run
from bench.report.bill import billing
from bench.scenarios.bulk import submit_all
from bench.scenarios.singles import CONNECTIONS, drain
from bench.stack import Service

RATES = (50, 300, 1000, 2000, 4000, 8000)  # POSTs per second


def measure(bench: Bench) -> Figures:
    """CPU per prediction by rate, with the fit of `fixed + per_group / (predictions in a group)`; CPU per bulk row."""
    service = bench.service()
    closed_loop(service.port, bench.predictions(service, 1000), connections=CONNECTIONS, seconds=1)  # warms up
    drain(service)
    points = [_point(bench, service, rate) for rate in RATES]
    points.append(_point(bench, service, None))
    sizes = np.array([point["group"] for point in points])
    costs = np.array([point["cpu_us"]["all"] for point in points])
    # In proportion: a group of one costs a hundred times as much, and would else be all that counts.
    weighted = np.column_stack([1 / costs, 1 / (sizes * costs)])
    (fixed, per_group), *_ = np.linalg.lstsq(weighted, np.ones(len(points)))
    for point in points:
        point["model_us"] = float(fixed + per_group / point["group"])
    return {
        "fixed_us": float(fixed),
        "per_group_us": float(per_group),
        "points": points,
        "bulk": _bulk(bench, service),
    }


def _point(bench: Bench, service: Service, rate: int | None) -> dict[str, Any]:
    """One load, for some seconds: `rate` POSTs per second, or as many as 256 connections get answered."""
    requests = bench.predictions(service, 50_000)
    seconds = bench.choose(6, 1)
    before = _batches(service)
    with billing(bench.groups(service)) as bill:
        load = _load(service, requests, rate, seconds)
        drain(service)
    if set(load.statuses) != {202}:
        raise WrongAnswer(f"not every POST was accepted: {dict(load.statuses)}")
    count = len(load.latencies)
    cpu = bill.per(count)
    return {
        "offered": rate,
        "rate": load.rate,
        "p50_ms": load.percentile(50),
        "p99_ms": load.percentile(99),
        "group": count / (_batches(service) - before),
        "cpu_us": {**cpu, "all": sum(cpu.values())},
    }


def _load(service: Service, requests: list[bytes], rate: int | None, seconds: float) -> Load:
    if rate is None:
        return closed_loop(service.port, requests, connections=CONNECTIONS, seconds=seconds)
    return run(paced(service.port, requests, rate=rate, seconds=seconds, connections=CONNECTIONS))


def _batches(service: Service) -> int:
    with service.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM predictq.batch_outputs")).scalar_one())


def _bulk(bench: Bench, service: Service) -> Figures:
    rows = bench.stack.clients
    submit_all(service, where={"job_level": 5})  # warms up
    with billing(bench.groups(service)) as bill:
        _, accept_seconds, seconds = submit_all(service)
    cpu = bill.per(rows)
    return {
        "accept_us": accept_seconds / rows * 1e6,
        "us": seconds / rows * 1e6,
        "cpu_us": {**cpu, "all": sum(cpu.values())},
    }
