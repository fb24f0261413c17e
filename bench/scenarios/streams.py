"""Open streams of events: what they cost in memory, and single predictions beside them. Not part of a normal run.

`python -m bench --only streams`. Rounds with and without the streams take turns; in both a bulk job is made and
cancelled each second, of which every stream is told. A thousand browsers have processors of their own: so who listens
is held meanwhile, and reads afterwards what the kernel has kept.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import text

from bench.context import Bench, Figures
from bench.load import Load, paced, run
from bench.report.bill import added_megabytes, billing
from bench.scenarios.singles import drain
from bench.stack import Service

STREAMS = 1000
_RATE = 300  # single predictions a second
_ROOMY = {  # all of them come from one address, with one key
    "PREDICTQ_KEY_STREAMS": str(STREAMS),
    "PREDICTQ_ALL_STREAMS": str(STREAMS),
    "PREDICTQ_MAX_CONNECTIONS_PER_ADDRESS": str(2 * STREAMS),
}


def measure(bench: Bench) -> Figures:
    """A thousand streams of one owner."""
    with bench.stack.service("streams", extra=_ROOMY, workers=(("--concurrency", "1"),)) as service:
        with service.engine.begin() as connection:  # so that bulk jobs stay open until they are cancelled
            connection.execute(text("INSERT INTO predictq.pauses (queue, actor) VALUES ('bulk', 'bench')"))
        requests = bench.predictions(service, 10_000)
        run(paced(service.port, requests, rate=_RATE, seconds=2, connections=16))
        calm: list[Load] = []
        beside: list[Load] = []
        events, seconds = 0, bench.choose(10, 3)
        cpu = {"calm": 0.0, "beside": 0.0}
        megabytes: list[float] = []
        for _ in range(bench.count(5, 2)):
            calm.append(_round(bench, service, requests, seconds, cpu, "calm"))
            before = added_megabytes(service.gateway)
            with _listening(service) as told:
                megabytes.append(added_megabytes(service.gateway) - before)
                beside.append(_round(bench, service, requests, seconds, cpu, "beside"))
            events += told[0]
    return {
        "streams": STREAMS,
        "first_megabytes": megabytes[0],  # the first time: later the memory is there
        "events": events,
        "calm": _summary(calm),
        "beside": _summary(beside),
        "gateway_cpu_share": {name: used / seconds / len(calm) for name, used in cpu.items()},
    }


def _round(
    bench: Bench, service: Service, requests: list[bytes], seconds: float, cpu: dict[str, float], name: str
) -> Load:
    with _jobs_each_second(service), billing(bench.groups(service)) as bill:
        load = run(paced(service.port, requests, rate=_RATE, seconds=seconds, connections=16))
    drain(service)
    cpu[name] += bill.seconds["gateway"]
    if set(load.statuses) != {202}:
        raise AssertionError(f"single predictions answered {dict(load.statuses)}")
    return load


def _summary(loads: list[Load]) -> Figures:
    together = [latency * 1000 for load in loads for latency in load.latencies]
    p99 = [load.percentile(99) for load in loads]
    return {
        "p50_ms": float(np.percentile(together, 50)),
        "p99_ms": float(np.percentile(together, 99)),
        "max_ms": max(together),
        "p99_by_round_ms": p99,
    }


@contextmanager
def _jobs_each_second(service: Service) -> Iterator[None]:
    """A bulk job is made, and cancelled half a second later."""
    done = threading.Event()

    def make() -> None:
        while not done.is_set():
            made = service.client.post("/v1/jobs", json={"client_ids": [1, 2, 3]}).json()
            done.wait(0.5)
            service.client.post(f"/v1/jobs/{made['id']}/cancel")
            done.wait(0.5)

    thread = threading.Thread(target=make)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _listening(service: Service) -> Iterator[list[int]]:
    """The streams, all begun; at the end the number of events that have come is in the list."""
    command = [sys.executable, "-m", "bench.setup.listeners", str(service.port), service.key, str(STREAMS)]
    root = Path(__file__).parents[2]
    told: list[int] = []
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # it was asked for
        if process.stdout.readline() != "open\n":
            raise AssertionError("the streams did not begin")
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield told
        finally:
            process.terminate()
            os.kill(process.pid, signal.SIGCONT)
            told.append(int(process.stdout.readline() or 0))
