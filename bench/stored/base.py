"""The pages that are copied: made by the running service, out of calls as callers send them."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from bench.check import WrongAnswer
from bench.context import wait_for_job
from bench.load import closed_loop, post
from bench.stack import Service

OFTEN = 1  # the client whom jobs in random order name again and again: she is to be erased
_ORDERED, _SHUFFLED = 1, 3  # jobs of all clients in key order, and of ids in random order
_REPEATS = (10, 10, 11)  # how often each of the latter names OFTEN, in as many pages


@dataclass(frozen=True, slots=True)
class Base:
    """Real jobs: bulk ones by their ids, and how many single ones there are."""

    bulk: Sequence[str]
    singles: int


def make_base(service: Service, clients: int, singles: int) -> Base:
    """Bulk jobs of all clients, and single jobs in groups of one, of some 20 and of some 200."""
    jobs = [_all_clients(service) for _ in range(_ORDERED)]
    jobs += [_shuffled(service, clients, _REPEATS[number]) for number in range(_SHUFFLED)]
    chosen = random.sample(range(OFTEN + 1, clients + 1), singles)
    shares = ((1, singles // 50), (32, singles * 2 // 5), (256, singles - singles // 50 - singles * 2 // 5))
    for connections, count in shares:
        part, chosen = chosen[:count], chosen[count:]
        requests = [
            post("/v1/predict", b'{"client_id":%d}' % client, port=service.port, key=service.key) for client in part
        ]
        load = closed_loop(service.port, requests, connections=connections, seconds=3600, most=len(requests))
        if load.statuses[202] != count:
            raise WrongAnswer(f"of {count:,} single jobs were answered: {dict(load.statuses)}")
    _drain(service)
    return Base(jobs, singles)


def _all_clients(service: Service) -> str:
    answer = service.client.post("/v1/jobs", json={"all": True}).raise_for_status().json()
    return _ended(service, str(answer["id"]))


def _shuffled(service: Service, clients: int, repeats: int) -> str:
    ids = list(range(1, clients + 1))
    random.shuffle(ids)
    for place in range(repeats):
        ids[(2 * place + 1) * clients // (2 * repeats)] = OFTEN
    content = io.BytesIO(b"client_id\n" + b"".join(b"%d\n" % client for client in ids))
    answer = service.client.post("/v1/jobs", content=content, headers={"Content-Type": "text/csv"})
    return _ended(service, str(answer.raise_for_status().json()["id"]))


def _ended(service: Service, job: str) -> str:
    wait_for_job(service, job)
    return job


def _drain(service: Service) -> None:
    with service.engine.connect() as connection:
        while connection.execute(text("SELECT EXISTS (SELECT FROM predictq.prediction_batches)")).scalar_one():
            connection.rollback()
            connection.execute(text("SELECT pg_sleep(0.05)"))
