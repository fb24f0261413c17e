"""A bulk job with its full trace, beside a pandas script and beside COPY alone; its upload, its download."""

from __future__ import annotations

import io
import time
from typing import Any

from bench.check import check_bulk
from bench.context import Bench, Figures, wait_for_job
from bench.disk import weighing
from bench.load import paced, run
from bench.peers.programs import peer_database
from bench.report.bill import billing
from bench.scenarios.singles import summary
from bench.setup.programs import run_script
from bench.stack import Service

_SINGLES_PER_SECOND = 50


def measure(bench: Bench) -> Figures:
    """COPY before and after predictq on a part of the rows, pandas on a smaller one: all rows take as long."""
    rows = bench.stack.clients
    copies = [] if bench.quick else [_script(bench, "copy_limit", rows * 3 // 10)]
    figures: Figures = {"rows": rows, **_predictq(bench, rows)}
    copies.append(_script(bench, "copy_limit", rows * 3 // 10))
    figures["copy_limit"] = copies
    figures["copy_limit_rate"] = sum(each["rate"] for each in copies) / len(copies)
    figures["pandas"] = _script(bench, "pandas_bulk", bench.count(60_000, 10_000))
    return figures


def _script(bench: Bench, name: str, rows: int) -> Figures:
    """Run one of the peers' scripts, which prints the seconds that its work took."""
    with peer_database(bench.stack) as (_, environment):
        seconds = float(run_script(f"bench.peers.{name}", str(rows), environment=environment))
    return {"rows": rows, "seconds": seconds, "rate": rows / seconds}


def _predictq(bench: Bench, rows: int) -> Figures:
    service = bench.service()
    submit_all(service, where={"job_level": 5})  # warms up
    with billing(bench.groups(service)) as bill, weighing(service.engine) as disk:
        job, accept_seconds, seconds = submit_all(service)
    counts = job["request_counts"]
    checked = check_bulk(service.engine, bench.stack.artefact, job["id"], rows)
    figures: Figures = {
        "predictq": {
            "seconds": seconds,
            "accept_seconds": accept_seconds,
            "rate": counts["succeeded"] / seconds,
            "checked": checked,
            "cpu_us": bill.per(rows),
            "disk_bytes": disk.per(rows),
        },
        "download": _download(service, job["id"], rows),
    }
    upload, uploaded = _upload(service, rows)
    figures["upload"] = upload
    figures["singles_beside"] = singles_beside(bench, service)
    ended = wait_for_job(service, uploaded)
    figures["upload"]["succeeded"] = ended["request_counts"]["succeeded"]
    return figures


def submit_all(service: Service, **selection: Any) -> tuple[dict[str, Any], float, float]:
    """A bulk job and its end: the job, the seconds until it was accepted and until it was finished."""
    began = time.perf_counter()
    accepted = service.client.post("/v1/jobs", json=selection or {"all": True})
    accepted.raise_for_status()
    accept_seconds = time.perf_counter() - began
    job = wait_for_job(service, accepted.json()["id"])
    return job, accept_seconds, time.perf_counter() - began


def _download(service: Service, job: str, rows: int) -> Figures:
    began = time.perf_counter()
    lines = size = 0
    with service.client.stream("GET", f"/v1/jobs/{job}/results", headers={"Accept": "text/csv"}) as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw(1 << 20):
            lines += piece.count(b"\n")
            size += len(piece)
    if lines != rows + 1:
        raise AssertionError(f"the download has {lines:,} lines for {rows:,} rows and a header")
    return {"seconds": time.perf_counter() - began, "bytes": size}


def _upload(service: Service, rows: int) -> tuple[Figures, str]:
    """Upload as many ids as there are clients; the job runs on while the caller goes on."""
    content = io.BytesIO(b"client_id\n" + b"".join(b"%d\n" % client for client in range(1, rows + 1)))
    began = time.perf_counter()
    answer = service.client.post("/v1/jobs", content=content, headers={"Content-Type": "text/csv"})
    seconds = time.perf_counter() - began
    answer.raise_for_status()
    return {"seconds": seconds}, str(answer.json()["id"])


def singles_beside(bench: Bench, service: Service) -> Figures:
    """Single predictions, POST to result, while the uploaded job is being scored."""
    requests = bench.predictions(service, 5000, prefer="wait=10")
    seconds = bench.choose(5, 1)
    load = run(paced(service.port, requests, rate=_SINGLES_PER_SECOND, seconds=seconds, connections=32))
    return summary(load)
