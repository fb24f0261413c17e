"""One caller on an idle service: from the POST to the result, beside the synchronous endpoint."""

from __future__ import annotations

import numpy as np

from bench.context import Bench, Figures
from bench.load import closed_loop
from bench.peers.programs import running_peer


def measure(bench: Bench) -> Figures:
    """Turn by turn, so that a noisy moment hits both."""
    times: dict[str, list[float]] = {"predictq": [], "synchronous": []}
    seconds = bench.choose(1.0, 0.4)
    service = bench.service()
    with running_peer(bench.stack, "none") as peer:
        places = {
            "predictq": (service.port, bench.predictions(service, 5000, prefer="wait=10")),
            "synchronous": (peer.port, peer.requests(5000)),
        }
        for turn in range(1 + bench.count(5, 3)):
            for name, (port, requests) in places.items():
                load = closed_loop(port, requests, connections=1, seconds=seconds)
                if set(load.statuses) != {200}:
                    raise AssertionError(f"{name} answered {dict(load.statuses)}")
                if turn:  # the first round warms up
                    times[name] += load.latencies
    return {name: _summary(values) for name, values in times.items()}


def _summary(seconds: list[float]) -> Figures:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1000
    return {"p50_ms": float(p50), "p99_ms": float(p99), "count": len(seconds)}
