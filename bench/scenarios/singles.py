"""Single predictions under full load: predictq, the usual recipe and its kin, and a POST that does nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from bench.check import WrongAnswer, check_peer, check_singles
from bench.context import Bench, Figures, job_id, wait_until
from bench.disk import weighing
from bench.load import Load, closed_loop, paced, post, run
from bench.peers.programs import noop_gateway, running_peer
from bench.report.bill import added_megabytes, billing, proportional_megabytes
from bench.stack import Service

CONNECTIONS = 256
_REQUESTS = 100_000  # different clients asked for
_PEER_REQUESTS = {"celery": 300, "dramatiq": 300, "rq": 40, "none": 120}  # some three seconds of work for each
_PEERS = {"recipe": "celery", "synchronous": "none", "dramatiq": "dramatiq", "rq": "rq"}  # kinds by what they stand for


def measure(bench: Bench) -> Figures:
    """Peers first, each by itself; the limit before and after predictq, so that a machine that changes its pace shows.

    The service stays up, idle, for the scenarios that share it.
    """
    peers = ["recipe"] if bench.quick else list(_PEERS)
    figures: Figures = {name: _peer(bench, _PEERS[name]) for name in peers}
    noop = [] if bench.quick else [_noop(bench)]
    figures["predictq"] = _predictq(bench)
    noop.append(_noop(bench))
    figures["noop"] = noop
    figures["noop_rate"] = sum(each["rate"] for each in noop) / len(noop)
    return figures


def _noop(bench: Bench) -> Figures:
    with noop_gateway(bench.stack) as port:
        requests = [post("/predict", b'{"client_id":%d}' % number, port=port) for number in range(1, 10_001)]
        closed_loop(port, requests, connections=CONNECTIONS, seconds=0.5)
        return summary(closed_loop(port, requests, connections=CONNECTIONS, seconds=bench.choose(5, 1.5)))


def _peer(bench: Bench, kind: str) -> Figures:
    """A fixed number of predictions, from the first POST to the last answer: the peer has the machine to itself."""
    count = bench.count(_PEER_REQUESTS[kind], 120)
    with running_peer(bench.stack, kind) as peer:
        warm = min(64, count // 4)
        closed_loop(peer.port, peer.requests(warm), connections=8, seconds=60, most=warm)
        wait_until(lambda: peer.answered() == warm, f"{kind} to warm up")
        began = time.perf_counter()
        load = closed_loop(peer.port, peer.requests(count), connections=CONNECTIONS, seconds=300, most=count)
        accepted = sum(n for status, n in load.statuses.items() if status in (200, 202))
        wait_until(lambda: peer.answered() == warm + accepted, f"{kind} to answer")
        seconds = time.perf_counter() - began
        checked = check_peer(peer.engine, bench.stack.artefact, warm + accepted)
    return {**summary(load), "rate": accepted / seconds, "accepted": accepted, "checked": checked}


def _predictq(bench: Bench) -> Figures:
    service = bench.service()
    requests = bench.predictions(service, _REQUESTS)
    closed_loop(service.port, requests, connections=CONNECTIONS, seconds=1)
    drain(service)
    before = _count_answers(service)
    began = time.perf_counter()
    with _watching(service) as waiting, billing(bench.groups(service)) as bill, weighing(service.engine) as disk:
        seconds = bench.choose(60, 4)
        load = closed_loop(service.port, requests, connections=CONNECTIONS, seconds=seconds, keep=job_id)
        drained = drain(service)
    total_seconds = time.perf_counter() - began
    accepted = [(job, number + 1) for job, number in zip(load.kept, load.numbers, strict=True) if job]
    jobs, clients = [job for job, _ in accepted], [client for _, client in accepted]
    checked = check_singles(service.engine, bench.stack.artefact, jobs, clients)
    stored = _count_answers(service) - before
    if stored != len(accepted):
        raise WrongAnswer(f"{len(accepted):,} were accepted and {stored:,} outputs stored")
    memory = _memory(service)
    slow = _paced(bench, service)
    return {
        **summary(load),
        "rate": len(accepted) / total_seconds,
        "accept_rate": load.rate,
        "accepted": len(accepted),
        "checked": checked,
        "most_waiting": max(waiting, default=0),
        "waiting_at_half": waiting[len(waiting) // 2] if waiting else 0,
        "drain_seconds": drained,
        "cpu_us": bill.per(len(accepted)),
        "disk_bytes": disk.per(len(accepted)),
        "paced": slow,
        **memory,
    }


def _paced(bench: Bench, service: Service) -> Figures:
    requests = bench.predictions(service, 10_000)
    seconds = bench.choose(10, 2)
    with billing(bench.groups(service)) as bill:
        load = run(paced(service.port, requests, rate=1000, seconds=seconds, connections=64))
        drain(service)
    return {**summary(load), "cpu_us": bill.per(len(load.latencies))}


def _memory(service: Service) -> Figures:
    # Planner and errands are children, too, and programs of their own.
    pool = [each for main in service.workers for each in main.children() if each.cmdline() == main.cmdline()]
    return {
        "gateway_mb": proportional_megabytes(service.gateway),
        "worker_mains_mb": [proportional_megabytes(main) for main in service.workers],
        "worker_pool_mb": [proportional_megabytes(each) for each in pool],
        "worker_pool_added_mb": [added_megabytes(each) for each in pool],
    }


def summary(load: Load) -> Figures:
    """Rate per second and latencies in milliseconds."""
    return {
        "rate": load.rate,
        "p50_ms": load.percentile(50),
        "p99_ms": load.percentile(99),
        "max_ms": load.percentile(100),
        "statuses": {str(status): count for status, count in load.statuses.items()},
    }


@contextmanager
def _watching(service: Service) -> Iterator[list[int]]:
    """Sample how many predictions wait, twice a second, until the block ends."""
    samples: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            samples.append(_waiting(service))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


def _waiting(service: Service) -> int:
    with service.engine.connect() as connection:
        query = "SELECT coalesce(sum(request_count), 0) FROM predictq.prediction_batches"
        return int(connection.execute(text(query)).scalar_one())


def drain(service: Service) -> float:
    """Wait until nothing waits; returns the seconds."""
    began = time.perf_counter()
    wait_until(lambda: _waiting(service) == 0, "the backlog to end")
    return time.perf_counter() - began


def _count_answers(service: Service) -> int:
    with service.engine.connect() as connection:
        query = "SELECT coalesce(sum(succeeded + failed), 0) FROM predictq.batch_outputs"
        return int(connection.execute(text(query)).scalar_one())
