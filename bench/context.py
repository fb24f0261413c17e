"""What every scenario is given: the stack, how long to measure, and whose processes count for what."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psutil

from bench.check import WrongAnswer
from bench.load import post
from bench.report.bill import Groups
from bench.stack import Service, Stack

Figures = dict[str, Any]  # what a scenario measured: plain values, as they go into the JSON
Scenario = Callable[["Bench"], Figures]

# Whose service a scenario goes on with: single predictions with those before, and growth on what bulk has stored.
_SHARES = {"roundtrip": "singles", "statuses": "singles", "growth": "bulk"}


@dataclass(slots=True)
class Bench:
    """One run of the benchmark. `quick` measures for a shorter time, with fewer rows."""

    stack: Stack
    quick: bool
    _group: str = ""
    _shared: Service | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def begin(self, scenario: str) -> None:
        """End the service of the scenarios before, unless `scenario` goes on with it."""
        group = _SHARES.get(scenario, scenario)
        if self.quick and group == "bulk":
            group = "singles"  # not worth another start
        if group != self._group:
            self.end_service()
            self._group = group

    def service(self) -> Service:
        """The service as shipped, which scenarios of one kind share: starting one takes seconds."""
        if self._shared is None:
            self._shared = self._open.enter_context(self.stack.service(self._group))
        return self._shared

    def end_service(self) -> None:
        """End the shared service, so that what is measured next has the machine to itself."""
        self._shared = None
        self._open.close()

    def choose(self, full: float, quick: float) -> float:
        """A duration in seconds for this run."""
        return quick if self.quick else full

    def count(self, full: int, quick: int) -> int:
        """A number of rows or calls for this run."""
        return quick if self.quick else full

    def groups(self, service: Service) -> Groups:
        """The processes behind a prediction, by what they are."""
        return {
            "gateway": [service.gateway],
            "workers": service.workers,
            "postgres": [_process_of(self.stack.postgres)],
            "redis": [_process_of(self.stack.redis)],
        }

    def predictions(self, service: Service, count: int, *, prefer: str = "") -> list[bytes]:
        """Ready-made requests, the n-th for client n + 1."""
        return [
            post("/v1/predict", b'{"client_id":%d}' % client_id, port=service.port, key=service.key, prefer=prefer)
            for client_id in range(1, min(count, self.stack.clients) + 1)
        ]


def _process_of(server: Any) -> psutil.Process:
    return psutil.Process(server.process.pid)


def job_id(answer: bytes) -> str | None:
    """The id of the job in a 202 of the gateway; None for any other answer."""
    place = answer.find(b"location: /v1/jobs/") + 19
    return answer[place : place + 36].decode() if place > 18 else None


def wait_for_job(service: Service, job: UUID | str, *, each: Callable[[], None] | None = None) -> dict[str, Any]:
    """The job once it has ended; `each` is called twice a second until then."""
    while True:
        answer: dict[str, Any] = service.client.get(
            f"/v1/jobs/{job}", headers={"Prefer": "wait=60"} if each is None else {}
        ).json()
        if answer["status"] in ("succeeded", "failed", "cancelled"):
            return answer
        if each is not None:
            each()
            time.sleep(0.5)


def wait_until(check: Callable[[], bool], what: str, *, seconds: float = 300) -> None:
    """Return when `check` is true. Raises WrongAnswer: what never comes is no answer."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise WrongAnswer(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
