"""What the settings do that people would tune. Not part of a normal run: `python -m bench --only settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.context import Bench, Figures
from bench.load import closed_loop
from bench.report.bill import billing
from bench.scenarios.bulk import singles_beside, submit_all
from bench.scenarios.singles import CONNECTIONS, drain, summary

_DEFAULT_WORKERS = (("--concurrency", "2"),)

SINGLES: dict[str, Mapping[str, str]] = {
    "default": {},
    "linger 0 ms": {"PREDICTQ_LINGER_MS": "0"},
    "linger 5 ms": {"PREDICTQ_LINGER_MS": "5"},
    "linger 20 ms": {"PREDICTQ_LINGER_MS": "20"},
    "groups of at most 64": {"PREDICTQ_MAX_GROUP": "64"},
    "pool of 5": {"PREDICTQ_API_POOL_SIZE": "5"},
    "pool of 16": {"PREDICTQ_API_POOL_SIZE": "16"},
    "default again": {},
}
BATCHES = ("2000", "5000", "10000", "20000")
WORKERS: dict[str, Sequence[Sequence[str]]] = {
    "1 process": [("--concurrency", "1")],
    "3 processes": [("--concurrency", "3")],
    "2 processes and 1 for single predictions alone": [
        ("--concurrency", "2"),
        ("--concurrency", "1", "--queues", "interactive"),
    ],
}


def measure(bench: Bench) -> Figures:
    """One setting at a time, everything else at its default."""
    figures: Figures = {"singles": {}, "bulk": {}}
    for name, extra in SINGLES.items():
        figures["singles"][name] = _singles(bench, extra, _DEFAULT_WORKERS)
    for rows in BATCHES:
        figures["bulk"][f"batches of {rows}"] = _bulk(bench, {"PREDICTQ_BULK_BATCH_ROWS": rows}, _DEFAULT_WORKERS)
    for name, workers in WORKERS.items():
        figures["singles"][name] = _singles(bench, {}, workers)
        figures["bulk"][name] = _bulk(bench, {}, workers)
    return figures


def _singles(bench: Bench, extra: Mapping[str, str], workers: Sequence[Sequence[str]]) -> Figures:
    with bench.stack.service("settings", extra=extra, workers=workers) as service:
        requests = bench.predictions(service, 50_000)
        closed_loop(service.port, requests, connections=CONNECTIONS, seconds=1)
        drain(service)
        with billing(bench.groups(service)) as bill:
            load = closed_loop(service.port, requests, connections=CONNECTIONS, seconds=bench.choose(6, 1))
            drained = drain(service)
        return {**summary(load), "drain_seconds": drained, "cpu_us": bill.per(len(load.latencies))}


def _bulk(bench: Bench, extra: Mapping[str, str], workers: Sequence[Sequence[str]]) -> Figures:
    with bench.stack.service("settings", extra=extra, workers=workers) as service:
        submit_all(service, where={"job_level": 5})
        _, _, seconds = submit_all(service)
        service.client.post("/v1/jobs", json={"all": True}).raise_for_status()
        beside = singles_beside(bench, service)
    return {"rate": bench.stack.clients / seconds, "singles_beside_p99_ms": beside["p99_ms"]}
