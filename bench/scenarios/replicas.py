"""What one more worker brings: with a model that computes, and with one that sleeps."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.context import Bench, Figures, wait_for_job, wait_until
from bench.models import ComputingModel, SleepingModel
from bench.stack import Service
from model.artefact import build_artefact
from shared.signature import FeatureKind, FeatureSpec, Signature

_SIGNATURE = Signature((FeatureSpec("age", FeatureKind.INTEGER, minimum=14, maximum=120),))
_BATCH_ROWS = 50


def measure(bench: Bench) -> Figures:
    """Batches per second by number of replicas, each a worker of its own with one pool process."""
    sleeping = SleepingModel(0.25)
    figures: Figures = {"computing": _scale(bench, ComputingModel(0.2), (1, 2), batches=bench.count(40, 8))}
    if not bench.quick:
        figures["sleeping"] = _scale(bench, sleeping, (1, 8), batches=64)
    return figures


def _scale(bench: Bench, model: ComputingModel | SleepingModel, replicas: Sequence[int], *, batches: int) -> Figures:
    artefact = build_artefact(model, _SIGNATURE, 0.5, name=type(model).__name__)
    rates = {}
    for count in replicas:
        with bench.stack.service(
            "replicas",
            workers=[("--concurrency", "1")] * count,
            extra={"PREDICTQ_BULK_BATCH_ROWS": str(_BATCH_ROWS)},
            artefact=artefact,
        ) as service:
            _wait_for_replicas(service, count)
            rates[count] = _rate(service, batches)
    first, last = min(rates), max(rates)
    return {
        "batches_per_second": {str(count): rate for count, rate in rates.items()},
        "gain": rates[last] / rates[first],
    }


def _rate(service: Service, batches: int) -> float:
    ids = list(range(1, batches * _BATCH_ROWS + 1))
    began = time.perf_counter()
    job = service.client.post("/v1/jobs", json={"client_ids": ids}).raise_for_status().json()
    ended = wait_for_job(service, job["id"])
    if ended["request_counts"]["succeeded"] != len(ids):
        raise AssertionError(f"the job ended as {ended['request_counts']}")
    return batches / (time.perf_counter() - began)


def _wait_for_replicas(service: Service, count: int) -> None:
    """Return when every replica has scored something, so that none is still starting."""

    def all_scored() -> bool:
        service.client.post("/v1/jobs", json={"client_ids": list(range(1, count * _BATCH_ROWS + 1))})
        with service.engine.connect() as connection:
            query = "SELECT count(DISTINCT worker) FROM prediction_batches WHERE status = 'finished'"
            found = int(connection.exec_driver_sql(query).scalar_one())
            open_batches = connection.exec_driver_sql(
                "SELECT count(*) FROM prediction_batches WHERE status IN ('queued', 'running')"
            ).scalar_one()
        time.sleep(0.3)
        return found >= count and open_batches == 0

    wait_until(all_scored, f"{count} replicas")
