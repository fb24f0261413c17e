"""What one more worker brings: with a model that computes, and with one that sleeps."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.check import WrongAnswer
from bench.context import Bench, Figures, wait_for_job, wait_until
from bench.models import ComputingModel, SleepingModel
from bench.stack import Service
from model.artefact import build_artefact
from shared.signature import FeatureKind, FeatureSpec, Signature

_SIGNATURE = Signature((FeatureSpec("age", FeatureKind.INTEGER, minimum=14, maximum=120),))
_BATCH_ROWS = 50


def measure(bench: Bench) -> Figures:
    """Batches per second by number of replicas, each a worker of its own with one pool process.

    Each has the same number of batches to score, so that beginning and end weigh the same for one and for many.
    """
    figures: Figures = {"computing": _scale(bench, ComputingModel(0.2), (1, 2), batches=bench.count(20, 8))}
    if not bench.quick:
        figures["sleeping"] = _scale(bench, SleepingModel(0.25), (1, 8), batches=24)
    return figures


def _scale(bench: Bench, model: ComputingModel | SleepingModel, replicas: Sequence[int], *, batches: int) -> Figures:
    artefact = build_artefact(model, _SIGNATURE, 0.5, name=type(model).__name__)
    rates = {}
    with bench.stack.service(
        "replicas",
        workers=[("--concurrency", "1")],
        extra={"PREDICTQ_BULK_BATCH_ROWS": str(_BATCH_ROWS)},
        artefact=artefact,
    ) as service:
        for count in replicas:
            while len(service.workers) < count:
                service.add_worker(("--concurrency", "1"))
            _wait_for_replicas(service, count)
            rates[count] = _rate(service, count * batches)
    first, last = min(rates), max(rates)
    return {
        "batches_per_second": {str(count): rate for count, rate in rates.items()},
        "gain": rates[last] / rates[first],
    }


def _rate(service: Service, batches: int) -> float:
    began = time.perf_counter()
    _score(service, batches)
    return batches / (time.perf_counter() - began)


def _score(service: Service, batches: int) -> None:
    ids = list(range(1, batches * _BATCH_ROWS + 1))
    job = service.client.post("/v1/jobs", json={"client_ids": ids}).raise_for_status().json()
    ended = wait_for_job(service, job["id"])
    if ended["request_counts"]["succeeded"] != len(ids):
        raise WrongAnswer(f"the job ended as {ended['request_counts']}")


def _wait_for_replicas(service: Service, count: int) -> None:
    """Return when every replica has scored something, so that none is still starting."""

    def all_have_scored() -> bool:
        _score(service, 2 * count)
        with service.engine.connect() as connection:
            query = "SELECT count(DISTINCT worker) FROM prediction_batches WHERE status = 'finished'"
            return int(connection.exec_driver_sql(query).scalar_one()) >= count

    wait_until(all_have_scored, f"{count} replicas")
