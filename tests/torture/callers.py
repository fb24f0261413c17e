"""Callers: they submit all the while, retry as real clients do, cancel now and then, and write down what they see."""

from __future__ import annotations

import contextlib
import json
import math
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg2

from tests.torture import population
from tests.torture.checking.ledger import Ledger
from tests.torture.machinery.cluster import Cluster

PATIENCE_SECONDS = 8.0  # what a caller waits for an answer; the service promises one within 5
_SINGLES, _RATE = 3, 4.0  # callers of single predictions, and how often each asks, per second
_LONGEST_PAUSE = 2.0  # whatever Retry-After says: the run is short
_REMEMBERED = 30  # asks of a caller that may be repeated: of before the fault, too
_REPEATED = 0.15  # of what is promised so much is followed by a repetition, of that or of an earlier one


@dataclass(frozen=True)
class Ask:
    """One thing to ask for, under one Idempotency-Key however often it is repeated."""

    kind: str  # "single", "raw", "bulk", "upload" or "select"
    clients: list[int] | None = None
    features: dict[str, Any] | None = None
    where: dict[str, Any] | None = None  # of STILL clients alone
    key: str = field(default_factory=population.new_key)

    @property
    def path(self) -> str:
        """Where to POST it."""
        return {"single": "/v1/predict", "raw": "/v1/predict_raw"}.get(self.kind, "/v1/jobs")

    @property
    def body(self) -> dict[str, Any]:
        """What to POST."""
        if self.features is not None:
            return {"features": self.features}
        if self.where is not None:
            return {"where": self.where}
        clients = self.clients or []
        return {"client_id": clients[0]} if self.kind == "single" else {"client_ids": clients}

    @property
    def content(self) -> tuple[str, str]:
        """The body as text, and its media type."""
        if self.kind == "upload":
            return "\n".join(["client_id", *map(str, self.clients or []), ""]), "text/csv"
        return json.dumps(self.body), "application/json"


class Caller:
    """Submits one ask at a time, over the gateways in turn, until it is accepted or the run is over."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, stop: threading.Event, rng: random.Random, api_key: str = ""
    ) -> None:
        self._urls = [f"http://127.0.0.1:{gateway.front.port}" for gateway in cluster.gateways if gateway.front]
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {api_key or cluster.api_key}"}, timeout=PATIENCE_SECONDS, trust_env=False
        )
        self._ledger = ledger
        self._stop = stop
        self._rng = rng
        self._promised: deque[Ask] = deque(maxlen=_REMEMBERED)

    def submit(self, ask: Ask, seconds: float = math.inf) -> str | None:
        """The job's id, once a gateway has promised it; None when the run or `seconds` ended before."""
        deadline = time.monotonic() + seconds
        asked = {"clients": ask.clients, "features": ask.features, "where": ask.where}
        self._ledger.write("ask", key=ask.key, kind=ask.kind, **asked)
        while True:
            answer = self.post(ask, self._rng.randrange(len(self._urls)))
            if answer is not None and answer.status_code in (200, 202):
                job_id = str(answer.json()["id"])
                self._ledger.accept(job_id)
                self._promised.append(ask)
                return job_id
            if answer is not None and answer.status_code not in (409, 429, 503):
                return None  # refused for good; the checker judges whether that was right
            pause = float(answer.headers.get("Retry-After", 0.2)) if answer is not None else 0.2
            if self._stop.wait(min(pause, _LONGEST_PAUSE)) or time.monotonic() > deadline:
                return None

    def repeat(self) -> None:
        """Ask once more for something that was promised, as whoever lost the answer does: the checker wants one job."""
        if self._promised:
            self.post(self._rng.choice(self._promised), self._rng.randrange(len(self._urls)))

    def post(self, ask: Ask, gateway: int) -> httpx.Response | None:
        """Send an ask once; None when no answer came."""
        content, media_type = ask.content
        headers = {"Idempotency-Key": ask.key, "Content-Type": media_type}
        return self.call("POST", gateway, ask.path, ask.key, content=content, headers=headers)

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
    """Callers of every kind in threads of their own, and a hand that changes clients all the while.

    `bustle` is how much they ask for: 1 is what two idle cores manage easily.
    """

    def __init__(self, cluster: Cluster, ledger: Ledger, seed: int, *, bustle: float = 1.0) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._seed = seed
        self._bustle = bustle
        self.stop_submitting = threading.Event()
        self._stop = threading.Event()
        self._paused = threading.Event()
        self.hand = population.Hand(cluster.dsn, ledger)
        works = [*[self._ask_singles] * _SINGLES, self._ask_bulk, self._ask_selections, self._change_clients]
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

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nobody asks for anything new during the block; what was asked before is repeated until it is accepted."""
        self._paused.set()
        try:
            yield
        finally:
            self._paused.clear()

    @contextlib.contextmanager
    def hands_off(self) -> Iterator[None]:
        """Nobody changes clients during the block."""
        with self.hand.stopped():
            yield

    def new_caller(self, number: int, *, is_limited: bool = False) -> Caller:
        """A caller with a sequence of choices of its own; of the owner whose waiting rows have a limit, if so asked."""
        rng = random.Random(f"{self._seed}-{number}")
        key = self._cluster.limited_key if is_limited else self._cluster.api_key
        return Caller(self._cluster, self._ledger, self._stop, rng, key)

    def _ask_singles(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-asks-{number}")
        caller = self.new_caller(number)
        while not self.stop_submitting.wait(rng.expovariate(_RATE * self._bustle)):
            if self._paused.is_set():
                continue
            job_id = caller.submit(_draw_single(rng))
            if job_id is not None and rng.random() < 0.1:
                caller.cancel(job_id)
            if job_id is not None and rng.random() < 0.3:
                caller.watch(job_id, 5)
            if rng.random() < _REPEATED:
                caller.repeat()
        caller.close()

    def _ask_bulk(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-asks-{number}")
        caller = self.new_caller(number)
        while not self.stop_submitting.wait(rng.uniform(0.3, 1.5) / self._bustle):
            if self._paused.is_set():
                continue
            clients = rng.choices(population.ORDINARY, k=rng.randint(200, 1800))
            if rng.random() < 0.2:
                clients[rng.randrange(len(clients))] = population.UNKNOWN
            clients[:20] = rng.choices(population.FLEETING, k=20)
            job_id = caller.submit(Ask("bulk", clients))
            if job_id is not None and rng.random() < 0.1:
                caller.cancel(job_id)
            if rng.random() < _REPEATED:
                caller.repeat()
        caller.close()

    def _ask_selections(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-asks-{number}")
        caller = self.new_caller(number)
        while not self.stop_submitting.wait(rng.uniform(1, 4) / self._bustle):
            if self._paused.is_set():
                continue
            job_id = caller.submit(Ask("select", where=_draw_selection(rng)))
            if job_id is not None and rng.random() < 0.2:
                caller.cancel(job_id)
            if rng.random() < _REPEATED:
                caller.repeat()
        caller.close()

    def _change_clients(self, number: int) -> None:
        rng = random.Random(f"{self._seed}-changes")
        absent: set[int] = set()
        while not self._stop.wait(rng.uniform(0.02, 0.1)):
            income = None if rng.random() < 0.05 else population.income(rng.randrange(1000, 9000))
            try:
                if rng.random() < 0.4:
                    self._remove_or_insert(rng.choice(population.FLEETING), absent, income)
                else:
                    self.hand.change(rng.sample(population.ORDINARY, 5), income, over_time=rng.random() < 0.5)
            except psycopg2.Error:
                self._stop.wait(0.5)  # PostgreSQL is being tortured

    def _remove_or_insert(self, client: int, absent: set[int], income: int | None) -> None:
        """Delete a client that is there; insert one that is not, or of which that is not known."""
        if client in absent:
            self.hand.insert(client, income)
            absent.remove(client)
        else:
            absent.add(client)
            self.hand.remove(client)


def _draw_selection(rng: random.Random) -> dict[str, Any]:
    """Of nobody, of about eighty or of two thousand clients that stand still."""
    where: dict[str, Any] = {"age": population.STILL_AGE, "department": "Sales"}
    if rng.random() < 0.9:
        first = rng.randrange(990, 1900)  # below 1000 there is nobody
        where["monthly_income"] = [population.income(number) for number in range(first, first + 40)]
    return where


def _draw_single(rng: random.Random) -> Ask:
    if rng.random() < 0.3:
        features = {
            "age": rng.randint(20, 59),
            "monthly_income": rng.choice([None, population.income(rng.randrange(1000, 9000))]),
            "department": rng.choice(["Sales", "Research & Development"]),
            "over_time": rng.random() < 0.5,
        }
        return Ask("raw", features=features)
    return Ask("single", [rng.choice(population.FLEETING if rng.random() < 0.1 else population.ORDINARY)])
