"""Ten live models that are asked in turn, beside one alone: single predictions at 1,000 a second.

Not part of a normal run: `python -m bench --only models`. Both take turns; each process is to load each version once.
"""

from __future__ import annotations

import secrets
import urllib.request
from dataclasses import replace

from bench.context import Bench, Figures
from bench.load import Load, paced, post, run
from bench.scenarios.singles import drain
from bench.setup.data import train_model
from bench.stack import Service
from devstack.servers.ports import free_port
from model.registration import new_version
from shared.models.registry import promote_version, register_version
from shared.postgres.engine import transaction
from shared.sources.source import read_source

_MODELS = 10
_RATE = 1000  # single predictions a second
_PROCESSES = 2
_LOADS = "predictq_worker_model_loads_total"


def measure(bench: Bench) -> Figures:
    """One model and ten by turns, over the same clients."""
    metrics = free_port()
    workers = (("--concurrency", str(_PROCESSES)),)
    with bench.stack.service(
        "models", workers=workers, extra={"PREDICTQ_WORKER_METRICS_PORT": str(metrics)}
    ) as service:
        names = [_live(bench, service, number) for number in range(_MODELS)]
        by_models = {"one": _calls(bench, service, names[:1]), "ten": _calls(bench, service, names)}
        for calls in by_models.values():
            _run(service, calls, bench.choose(5, 2))
        loads: dict[str, list[Load]] = {"one": [], "ten": []}
        for _ in range(bench.count(5, 2)):
            for name, calls in by_models.items():
                loads[name].append(_run(service, calls, bench.choose(10, 3)))
        opened = _opened(metrics)
    p99 = {name: sorted(load.percentile(99) for load in of)[len(of) // 2] for name, of in loads.items()}
    return {
        "models": _MODELS,
        "p50_ms": {name: sorted(load.percentile(50) for load in of)[len(of) // 2] for name, of in loads.items()},
        "p99_ms": p99,
        "p99_by_round_ms": {name: [load.percentile(99) for load in of] for name, of in loads.items()},
        "p99_ratio": p99["ten"] / p99["one"],
        # The first one was loaded once, before the fork, together with the sample that the service began with.
        "versions_opened": opened,
        "versions_opened_if_once": 1 + _PROCESSES * _MODELS,
    }


def _live(bench: Bench, service: Service, number: int) -> str:
    """A model of its own: trained on others, with a threshold of its own."""
    name = f"model_{number}"
    artefact = train_model(bench.stack.directory / f"{name}-{secrets.token_hex(4)}")
    artefact = replace(artefact, metadata=replace(artefact.metadata, threshold=0.3 + number / 100))
    with transaction(service.engine) as connection:
        source = read_source(connection, "clients")
        version = register_version(connection, new_version(artefact, source_id=source.id, model=name))
        promote_version(connection, version.id)
    return name


def _calls(bench: Bench, service: Service, names: list[str]) -> list[bytes]:
    return [
        post(
            "/v1/predict",
            b'{"client_id":%d,"model":"%s"}' % (client, names[client % len(names)].encode()),
            port=service.port,
            key=service.key,
        )
        for client in range(1, min(10_000, bench.stack.clients) + 1)
    ]


def _run(service: Service, calls: list[bytes], seconds: float) -> Load:
    load = run(paced(service.port, calls, rate=_RATE, seconds=seconds, connections=64))
    drain(service)
    if set(load.statuses) != {202}:
        raise AssertionError(f"single predictions answered {dict(load.statuses)}")
    return load


def _opened(port: int) -> int:
    """How many versions the worker's processes have opened since its start."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_LOADS)))
