"""What one more worker brings: with a model that computes, and with one that sleeps."""

from __future__ import annotations

import time

from bench.check import WrongAnswer
from bench.context import Bench, Figures, wait_for_job, wait_until
from bench.setup.data import register
from bench.setup.models import ComputingModel, SleepingModel
from bench.stack import Service
from model.artefact import Artefact, build_artefact
from shared.models.registry import promote_version
from shared.models.signature import FeatureKind, FeatureSpec, Signature
from shared.postgres.engine import transaction

_SIGNATURE = Signature((FeatureSpec("age", FeatureKind.INTEGER, minimum=14, maximum=120),))
_BATCH_ROWS = 50
_BATCHES = {"computing": 16, "sleeping": 18}  # per replica


def measure(bench: Bench) -> Figures:
    """Batches per second by number of replicas, each a worker of its own with one pool process.

    Each has the same number of batches to score, so that beginning and end weigh the same for one and for many.
    """
    rates: dict[str, dict[int, float]] = {"computing": {}, "sleeping": {}}
    with bench.stack.service(
        "replicas",
        workers=[("--concurrency", "1")],
        extra={"PREDICTQ_BULK_BATCH_ROWS": str(_BATCH_ROWS)},
    ) as service:
        versions = {name: register(service.engine, artefact) for name, artefact in _artefacts().items()}
        for model, count in (("computing", 1), ("sleeping", 1), ("computing", 2), ("sleeping", 8)):
            _make_live(service, versions[model])
            while len(service.workers) < count:
                service.add_worker(("--concurrency", "1"))
            _wait_for_replicas(service, count)
            rates[model][count] = _rate(service, count * bench.count(_BATCHES[model], 8))
    return {model: _gain(of_model) for model, of_model in rates.items()}


def _artefacts() -> dict[str, Artefact]:
    models = {"computing": ComputingModel(0.2), "sleeping": SleepingModel(0.25)}
    return {name: build_artefact(model, _SIGNATURE, 0.5, name=name) for name, model in models.items()}


def _make_live(service: Service, version: int) -> None:
    with transaction(service.engine) as connection:
        promote_version(connection, version)


def _gain(rates: dict[int, float]) -> Figures:
    return {
        "batches_per_second": {str(count): rate for count, rate in rates.items()},
        "gain": rates[max(rates)] / rates[min(rates)],
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
        first = service.client.get(f"/v1/jobs/{job['id']}/results?limit=1").json()
        raise WrongAnswer(f"the job ended as {ended['request_counts']}: {first}")


def _wait_for_replicas(service: Service, count: int) -> None:
    """Return when every replica has scored something, so that none is still starting."""

    def all_have_scored() -> bool:
        _score(service, 2 * count)
        with service.engine.connect() as connection:
            query = "SELECT count(DISTINCT worker) FROM predictq.batch_outputs"
            return int(connection.exec_driver_sql(query).scalar_one()) >= count

    wait_until(all_have_scored, f"{count} replicas")
