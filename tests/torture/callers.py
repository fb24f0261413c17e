"""Callers: they submit all the while, retry as real clients do, cancel now and then, and write down what they see."""

from __future__ import annotations

import json
import math
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg2

from tests.torture import population
from tests.torture.cluster import Cluster
from tests.torture.ledger import Ledger

PATIENCE_SECONDS = 8.0  # what a caller waits for an answer; the service promises one within 5
_LONGEST_PAUSE = 2.0  # whatever Retry-After says: the run is short


@dataclass(frozen=True)
class Ask:
    """One thing to ask for, under one Idempotency-Key however often it is repeated."""

    kind: str  # "single", "raw" or "bulk"
    clients: list[int] | None = None
    features: dict[str, Any] | None = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def path(self) -> str:
        """Where to POST it."""
        return {"single": "/v1/predict", "raw": "/v1/predict_raw", "bulk": "/v1/jobs"}[self.kind]

    @property
    def body(self) -> dict[str, Any]:
        """What to POST."""
        if self.features is not None:
            return {"features": self.features}
        clients = self.clients or []
        return {"client_id": clients[0]} if self.kind == "single" else {"client_ids": clients}


class Caller:
    """Submits one ask at a time, over the gateways in turn, until it is accepted or the run is over."""

    def __init__(self, cluster: Cluster, ledger: Ledger, stop: threading.Event, rng: random.Random) -> None:
        self._urls = [f"http://127.0.0.1:{gateway.front.port}" for gateway in cluster.gateways if gateway.front]
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {cluster.api_key}"}, timeout=PATIENCE_SECONDS, trust_env=False
        )
        self._ledger = ledger
        self._stop = stop
        self._rng = rng

    def submit(self, ask: Ask, seconds: float = math.inf) -> str | None:
        """The job's id, once a gateway has promised it; None when the run or `seconds` ended before."""
        deadline = time.monotonic() + seconds
        self._ledger.write("ask", key=ask.key, kind=ask.kind, clients=ask.clients, features=ask.features)
        content = json.dumps(ask.body)
        while True:
            gateway = self._rng.randrange(len(self._urls))
            headers = {"Idempotency-Key": ask.key, "Content-Type": "application/json"}
            answer = self.call("POST", gateway, ask.path, ask.key, content=content, headers=headers)
            if answer is not None and answer.status_code in (200, 202):
                job_id = str(answer.json()["id"])
                self._ledger.accept(job_id)
                return job_id
            if answer is not None and answer.status_code not in (409, 429, 503):
                return None  # refused for good; the checker judges whether that was right
            pause = float(answer.headers.get("Retry-After", 0.2)) if answer is not None else 0.2
            if self._stop.wait(min(pause, _LONGEST_PAUSE)) or time.monotonic() > deadline:
                return None

    def call(self, method: str, gateway: int, path: str, key: str, **options: Any) -> httpx.Response | None:
        """One call, written down with its outcome; None when no answer came."""
        started = time.monotonic()
        event: dict[str, Any] = {"key": key, "gateway": gateway, "path": path, "began_in": self._ledger.fault}
        answer: httpx.Response | None = None
        try:
            answer = self._client.request(method, self._urls[gateway] + path, **options)
            event |= {"status": answer.status_code, "retry_after": answer.headers.get("Retry-After")}
            if method == "POST" and answer.status_code in (200, 202):
                event["job"] = answer.json()["id"]
            elif answer.status_code >= 400:
                event["detail"] = answer.text[:300]
        except httpx.HTTPError as error:
            event["status"] = type(error).__name__
        self._ledger.write("answer", seconds=round(time.monotonic() - started, 3), **event)
        return answer

    def cancel(self, job_id: str) -> None:
        """Ask once to cancel; whether it came in time is the service's to say."""
        self.call("POST", self._rng.randrange(len(self._urls)), f"/v1/jobs/{job_id}/cancel", f"cancel-{job_id}")

    def watch(self, job_id: str, seconds: float) -> dict[str, Any] | None:
        """The job as the service tells it once it has ended, written down; None when it has not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._stop.is_set():
            gateway = self._rng.randrange(len(self._urls))
            answer = self.call("GET", gateway, f"/v1/jobs/{job_id}", job_id, headers={"Prefer": "wait=2"})
            if answer is not None and answer.status_code == 200:
                job: dict[str, Any] = answer.json()
                if job["status"] in ("succeeded", "failed", "cancelled"):
                    self._ledger.write("told", job=job_id, status=job["status"], result=job.get("result"))
                    return job
            elif answer is None:
                self._stop.wait(0.2)
        return None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Crowd:
    """Callers of every kind in threads of their own, and a hand that changes clients all the while."""

    def __init__(self, cluster: Cluster, ledger: Ledger, seed: int, *, singles: int = 3, rate: float = 6.0) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._seed = seed
        self._pause = singles / rate / 2  # mean seconds between two asks of one caller
        self.stop_submitting = threading.Event()
        self._stop = threading.Event()
        works = [*[self._ask_singles] * singles, self._ask_bulk, self._change_clients]
        self._threads = [threading.Thread(target=work, args=(n,), daemon=True) for n, work in enumerate(works)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No new asks; those under way are repeated for a little longer, then given up."""
        self.stop_submitting.set()
        for thread in self._threads[:-1]:
            thread.join(timeout=15)
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=15)

    def new_caller(self, number: int) -> Caller:
        """A caller with a sequence of choices of its own."""
        return Caller(self._cluster, self._ledger, self._stop, random.Random(f"{self._seed}-{number}"))

    def _ask_singles(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-asks-{number}")
        caller = self.new_caller(number)
        while not self.stop_submitting.wait(rng.expovariate(1 / self._pause)):
            job_id = caller.submit(_draw_single(rng))
            if job_id is not None and rng.random() < 0.1:
                caller.cancel(job_id)
            if job_id is not None and rng.random() < 0.3:
                caller.watch(job_id, 5)
        caller.close()

    def _ask_bulk(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-asks-{number}")
        caller = self.new_caller(number)
        while not self.stop_submitting.wait(rng.uniform(0.3, 1.5)):
            clients = rng.choices(population.ORDINARY, k=rng.randint(200, 1800))
            if rng.random() < 0.2:
                clients[rng.randrange(len(clients))] = population.UNKNOWN
            job_id = caller.submit(Ask("bulk", clients))
            if job_id is not None and rng.random() < 0.1:
                caller.cancel(job_id)
        caller.close()

    def _change_clients(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-changes")
        while not self._stop.wait(rng.uniform(0.02, 0.1)):
            try:
                self._cluster.query(
                    "UPDATE clients SET monthly_income = %s, over_time = NOT over_time WHERE client_id = %s",
                    [rng.randrange(1000, 9000), rng.choice(population.ORDINARY)],
                )
            except psycopg2.Error:
                self._stop.wait(0.5)  # PostgreSQL is being tortured


def _draw_single(rng: random.Random) -> Ask:
    if rng.random() < 0.3:
        features = {
            "age": rng.randint(20, 59),
            "monthly_income": rng.choice([None, rng.randrange(1000, 9000)]),
            "department": rng.choice(["Sales", "Research & Development"]),
            "over_time": rng.random() < 0.5,
        }
        return Ask("raw", features=features)
    return Ask("single", [rng.choice(population.ORDINARY)])
