"""Reads of job status by many pollers at once."""

from __future__ import annotations

from bench.context import Bench, Figures, job_id
from bench.load import closed_loop, get
from bench.report.bill import billing
from bench.scenarios.singles import CONNECTIONS, summary


def measure(bench: Bench) -> Figures:
    """256 pollers ask for finished jobs, a different one each time."""
    service = bench.service()
    jobs = bench.count(5000, 2000)
    made = closed_loop(
        service.port,
        bench.predictions(service, jobs),
        connections=CONNECTIONS,
        seconds=60,
        most=jobs,
        keep=job_id,
    )
    requests = [get(f"/v1/jobs/{job}", port=service.port, key=service.key) for job in made.kept if job]
    closed_loop(service.port, requests, connections=CONNECTIONS, seconds=0.5)
    with billing(bench.groups(service)) as bill:
        load = closed_loop(service.port, requests, connections=CONNECTIONS, seconds=bench.choose(6, 1.5))
    if set(load.statuses) != {200}:
        raise AssertionError(f"status reads answered {dict(load.statuses)}")
    return {**summary(load), "cpu_us": bill.per(len(load.latencies))}
